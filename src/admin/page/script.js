// The page works without this. With it, a key is copied at the press of a button, and what is wrong
// with a form is read out first.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const word = document.getElementById("copied");
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    let done;
    try {
      await navigator.clipboard.writeText(field.value);
      done = true;
    } catch {
      // Without TLS there is no clipboard; the older way asks nobody.
      done = document.execCommand("copy");
    }
    word.textContent = done ? "Copied." : "Select the key and copy it.";
  });
}

for (const field of document.querySelectorAll("input[data-secret]")) {
  field.addEventListener("focus", () => field.select());
}

const faults = document.querySelector("div.summary");
if (faults) {
  faults.focus();
}
