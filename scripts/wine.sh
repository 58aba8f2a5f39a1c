#!/usr/bin/env bash
# Runs a Windows program under Wine. Wine 8, Debian's, lacks bcryptprimitives.dll, of which Rust's standard library wants one
# function; a stub of it beside the program passes that on.
set -euo pipefail
program=$1
shift
directory=$(dirname "$program")
stub=$directory/bcryptprimitives.dll
if [ ! -e "$stub" ]; then
  source=$(mktemp -d)
  trap 'rm -rf "$source"' EXIT
  cat >"$source/stub.c" <<'C'
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) { return RtlGenRandom(data, (ULONG)length); }
C
  x86_64-w64-mingw32-gcc -shared -O1 -o "$source/stub.dll" "$source/stub.c" -ladvapi32
  mv "$source/stub.dll" "$stub"
fi
export WINEDEBUG=${WINEDEBUG:--all}
wine "$program" "$@"
