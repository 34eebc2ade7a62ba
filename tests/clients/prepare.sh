#!/usr/bin/env bash
# Installs what the scripts with real clients, the browser and the conformance suite need, so that they can
# run side by side: each of them installs what it misses, and no two may install the same at once.
#
# Usage: tests/clients/prepare.sh
set -euo pipefail

# shellcheck source=tests/clients/sdks.sh
source "$(dirname "${BASH_SOURCE[0]}")/sdks.sh"
# shellcheck source=tests/conformance/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/../conformance/suite.sh"

prepare
install_python schemathesis schemathesis
need_chromium
install_npm browser "$repository/tests/browser"
prepare_suite
