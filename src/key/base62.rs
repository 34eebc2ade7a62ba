//! Base 62 with the alphabet `0-9A-Za-z`: letters and digits only, so that a double click selects
//! a whole key.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digit of `value % 62`.
pub(crate) fn digit(value: u8) -> u8 {
    ALPHABET
        .get(usize::from(value % 62))
        .copied()
        .unwrap_or(b'0')
}

/// Whether every byte is a base 62 digit.
pub(crate) fn is_base62(text: &[u8]) -> bool {
    // All are looked at: without a way out of the loop the processor takes many at a time.
    text.iter()
        .fold(true, |so_far, byte| so_far & byte.is_ascii_alphanumeric())
}

/// The value of a digit.
pub(crate) fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

/// `value` in `N` digits, padded with `0` on the left; higher digits are cut off.
pub(crate) fn encode<const N: usize>(mut value: u128) -> [u8; N] {
    let mut digits = [b'0'; N];
    for slot in digits.iter_mut().rev() {
        // What fits into a word the processor divides by itself: a checksum, which is computed for
        // every presented key that is not known, does from the beginning.
        let last = match u64::try_from(value) {
            Ok(word) => {
                value = (word / 62).into();
                u8::try_from(word % 62)
            }
            Err(_) => {
                let last = value % 62;
                value /= 62;
                u8::try_from(last)
            }
        };
        *slot = digit(last.unwrap_or(0));
    }
    digits
}

/// Random digits from the operating system, without bias.
///
/// # Panics
///
/// If the operating system has no randomness to give. No key may be made then.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut digits = [0; N];
    let mut pool = [0_u8; 64];
    let mut left: &[u8] = &[];
    for slot in &mut digits {
        *slot = loop {
            match left.split_first() {
                // 248 is the largest multiple of 62 in a byte: beyond it a digit would be biased.
                Some((&byte, rest)) => {
                    left = rest;
                    if byte < 248 {
                        break digit(byte);
                    }
                }
                None => {
                    fill_random(&mut pool);
                    left = &pool;
                }
            }
        };
    }
    zeroize::Zeroize::zeroize(&mut pool);
    digits
}

/// Fills `bytes` from the operating system's random source.
///
/// # Panics
///
/// If there is none.
#[expect(
    clippy::expect_used,
    reason = "going on without randomness would issue guessable keys"
)]
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system's random source is available");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_values_are_inverse() {
        for n in 0..62 {
            assert_eq!(value(digit(n)), Some(n));
        }
        assert_eq!(value(b'-'), None);
    }

    #[test]
    fn encoding_pads_on_the_left() {
        assert_eq!(&encode::<6>(0), b"000000");
        assert_eq!(&encode::<6>(62), b"000010");
        assert_eq!(&encode::<22>(u128::MAX), b"7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(&encode::<11>(u64::MAX.into()), b"LygHa16AHYF");
        assert_eq!(&encode::<11>(u128::from(u64::MAX) + 1), b"LygHa16AHYG");
    }

    #[test]
    fn random_digits_use_the_whole_alphabet_evenly() {
        let mut counts = [0_u32; 62];
        for _ in 0..2_000 {
            for digit in random::<31>() {
                counts[usize::from(value(digit).unwrap())] += 1;
            }
        }
        // 1,000 expected each; six standard deviations are 190.
        assert!(
            counts.iter().all(|&n| (800..1_200).contains(&n)),
            "{counts:?}"
        );
    }
}
