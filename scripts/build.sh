#!/usr/bin/env bash
# Makes .venv (argument "venv"), builds and installs the package into it (argument "build"), and
# adds PyTorch (argument "torch") or what the site needs (argument "docs").
# Does only what is needed: a step is repeated when what it was made from has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
venv=$root/.venv
build=$root/build/venv
full_ros='see "In a ROS 2 workspace" in docs/installing.md'
header_test='import os, sysconfig; h = sysconfig.get_paths()["include"]; raise SystemExit(not os.path.exists(h + "/Python.h"))'

say() { printf '==> %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 2
}

# The version of an interpreter if it really runs (pyenv has stand-ins that only say no).
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

choose_python() {
  local name version found=()
  if [ -n "${PYTHON:-}" ]; then
    version=$(version_of "$PYTHON") || fail "PYTHON=$PYTHON does not run."
    case $version in
      3.10 | 3.11 | 3.12) python=$PYTHON && return ;;
      *) fail "PYTHON=$PYTHON is Python $version; the ROS 2 wheels need CPython 3.10, 3.11 or 3.12." \
        "With another Python, $full_ros." ;;
    esac
  fi
  for name in python3.10 python3.11 python3.12 python3; do
    # Every one on the PATH, because the first may be a stand-in.
    while read -r python; do
      version=$(version_of "$python") || continue
      case $version in
        3.10 | 3.11 | 3.12) return ;;
        *) found+=("$python is Python $version") ;;
      esac
    done < <(type -aP "$name" || true)
  done
  [ ${#found[@]} -gt 0 ] || found=("there is no python3 that runs")
  fail "no suitable Python: the ROS 2 wheels need CPython 3.10, 3.11 or 3.12." \
    "Found: $(printf '%s; ' "${found[@]}" | sed 's/; $//')." \
    "Install one of them (make PYTHON=/path/to/python3.12 takes any), or $full_ros."
}

check_machine() {
  local system machine missing=()
  system=$(uname -s)
  machine=$(uname -m)
  [ "$system" = Linux ] && [ "$machine" = x86_64 ] ||
    fail "this is $system on $machine; the ROS 2 wheels exist for Linux on x86_64 only." \
      "On other machines, $full_ros."
  choose_python
  "$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python cannot make virtual environments." \
      "On Debian and Ubuntu: apt install python3-venv"
  command -v "${CXX:-c++}" >/dev/null && command -v "${CC:-cc}" >/dev/null || missing+=("g++")
  "$python" -c "$header_test" || missing+=("python3-dev")
  [ ${#missing[@]} -eq 0 ] ||
    fail "a C++ compiler and the headers of $python are needed to build the messages." \
      "On Debian and Ubuntu: apt install ${missing[*]}"
}

make_venv() {
  local made_from
  made_from="$venv $(sha256sum requirements/lock.txt | cut -d' ' -f1)"
  if [ "$(cat "$venv/.made-from" 2>/dev/null)" = "$made_from" ] && "$venv/bin/python" -c ''; then
    if [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$venv/bin/python")" ]; then
      return
    fi
  fi
  check_machine
  say "Making .venv with $python (Python $(version_of "$python")); once, about a minute"
  rm -rf "$venv" "$build"
  "$python" -m venv "$venv"
  say "Installing the pinned packages of requirements/lock.txt"
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
    --requirement requirements/lock.txt >build/pip.txt 2>&1 || {
    tail -n 15 build/pip.txt >&2
    fail "the packages could not be installed; all of pip's output is in build/pip.txt"
  }
  printf '%s\n' "$made_from" >"$venv/.made-from"
}

build_package() {
  local made_from
  made_from=$(cat "$venv/.made-from" && sha256sum CMakeLists.txt package.xml entry_points.txt \
    scripts/*.in msg/*.msg srv/*.srv)
  if [ "$(cat "$venv/.built-from" 2>/dev/null)" = "$made_from" ] && [ -d "$build" ]; then
    # Sources are linked, not copied: only new and deleted files need a hand.
    "$venv/bin/cmake" --install "$build" --component sources >/dev/null
    return
  fi
  say "Building the messages and services, and installing the package into .venv"
  rm -f "$venv/.built-from"
  # That of another version would stay beside the new one.
  rm -rf "$venv"/lib/python3.*/site-packages/sam_pt_ros-*.egg-info
  mkdir -p "$build"
  {
    "$venv/bin/cmake" -S "$root" -B "$build" -G Ninja \
      -DCMAKE_MAKE_PROGRAM="$venv/bin/ninja" \
      -DCMAKE_PREFIX_PATH="$venv" -DCMAKE_INSTALL_PREFIX="$venv" \
      -DPython3_EXECUTABLE="$venv/bin/python" -DPython3_FIND_VIRTUALENV=ONLY \
      -DBUILD_TESTING=OFF -DSAM_PT_ROS_LINK_SOURCES=ON &&
      "$venv/bin/cmake" --build "$build" &&
      "$venv/bin/cmake" --install "$build"
  } >"$build/log.txt" 2>&1 || {
    tail -n 30 "$build/log.txt" >&2
    fail "the build failed; all of its output is in build/venv/log.txt"
  }
  printf '%s\n' "$made_from" >"$venv/.built-from"
}

add_torch() {
  local made_from
  made_from=$(cat requirements/torch.txt requirements/matching.txt | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$venv/.torch-from" 2>/dev/null)" = "$made_from" ]; then
    return
  fi
  say "Installing PyTorch and the segmenters' packages (requirements/torch.txt); once, some minutes"
  "$venv/bin/python" -m pip install --disable-pip-version-check \
    --constraint requirements/lock.txt --requirement requirements/torch.txt >build/pip.txt 2>&1 || {
    tail -n 15 build/pip.txt >&2
    fail "PyTorch could not be installed; all of pip's output is in build/pip.txt"
  }
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
    --requirement requirements/matching.txt >build/pip.txt 2>&1 || {
    tail -n 15 build/pip.txt >&2
    fail "XFeat and transformers could not be installed; all of pip's output is in build/pip.txt"
  }
  printf '%s\n' "$made_from" >"$venv/.torch-from"
}

add_docs() {
  local made_from
  made_from=$(sha256sum requirements/docs.txt | cut -d' ' -f1)
  if [ "$(cat "$venv/.docs-from" 2>/dev/null)" = "$made_from" ]; then
    return
  fi
  say "Installing the packages that build the site (requirements/docs.txt); once, some seconds"
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
    --requirement requirements/docs.txt >build/pip.txt 2>&1 || {
    tail -n 15 build/pip.txt >&2
    fail "MkDocs could not be installed; all of pip's output is in build/pip.txt"
  }
  printf '%s\n' "$made_from" >"$venv/.docs-from"
}

# Two builds at the same time would spoil each other.
mkdir -p build
exec 9>build/lock
flock -n 9 || { say "Waiting for another build to end" && flock 9; }

make_venv
[ "${1:-build}" = venv ] || build_package
[ "${1:-build}" != torch ] || add_torch
[ "${1:-build}" != docs ] || add_docs
