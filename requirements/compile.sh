#!/usr/bin/env bash
# Writes the locks anew from pyproject.toml: one file each for Linux and macOS and every Python >= 3.11.
# `requirements/compile.sh` keeps every pin that still fits; `requirements/compile.sh --upgrade` moves all to the newest.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # OUTPUT [ARGUMENT...]: comments and addresses stay out, so that the files are the same wherever they are made
    local output=$1
    shift
    "${UV:-uv}" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --output-file "$output" pyproject.toml requirements/build.in "$@"
}

compile requirements/lock-test.txt --extra test "$@"
compile requirements/lock.txt --extra all --constraint requirements/lock-test.txt
compile requirements/lock-docs.txt --extra all --extra docs --constraint requirements/lock-test.txt "$@"

if grep -niE '^(torch|nvidia-|jax-cuda)' requirements/lock*.txt; then
    echo "The locks must hold the CPU build of jax and no torch." >&2
    exit 1
fi
