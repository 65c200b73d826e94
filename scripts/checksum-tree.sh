#!/usr/bin/env bash
# Write SHA256SUMS of every regular file below a folder, for `sha256sum -c`. Follows no link, changes nothing.
#
# Environment: CHECKSUM_FOLDER and CHECKSUM_MATCH are mapped from the payload; CHECKSUM_ROOT (relative to the
# deployment folder) and CHECKSUM_HIDDEN (skip or include) are the operator's. stdin is not needed.
set -Eeuo pipefail
unset CDPATH
export PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C
umask 077

say() { printf '%s\n' "$*"; }
stop() {
  trap - ERR
  printf '%s\n' "$2" >&2
  exit "$1"
}
trap 'stop 3 "line $LINENO of checksum-tree.sh ended with code $?"' ERR

work=$(pwd -P)
home=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
folder=${CHECKSUM_FOLDER:-}
shown=$(printf '%q' "$folder")

[[ -n $folder && $folder != *[[:cntrl:]]* ]] || stop 2 "the payload's folder is empty or holds control characters"
[[ /$folder/ != *//* ]] || stop 2 "$shown is refused: it is absolute or has an empty part"
[[ $folder == . || /$folder != */.* ]] || stop 2 "$shown is refused: it has a part that starts with a dot"

# A relative root is joined to the deployment folder; `cd -P` leaves the physical path in PWD.
root=${CHECKSUM_ROOT:-.}
[[ $root == /* ]] || root=$home/$root
cd -P -- "$root" 2>/dev/null || stop 3 "the allowed folder $root cannot be entered"
root=${PWD%/}
if [[ $folder != . ]]; then
  cd -P -- "./$folder" 2>/dev/null || stop 2 "$shown is refused: no such folder below $root"
  [[ $PWD == "$root/$folder" ]] || stop 2 "$shown is refused: it leads through a link"
fi
# From here on everything is relative to the folder that was entered: swapping its path changes nothing.

survey() { # $1: suffix. One walk writes what is there (to be compared) and what is to be hashed.
  # No -name at all without a pattern, so that it cannot miss a name in some unforeseen encoding.
  local hidden=(-name '.*') match=(${CHECKSUM_MATCH:+-name "$CHECKSUM_MATCH"})
  [[ ${CHECKSUM_HIDDEN:-skip} == skip ]] || hidden=(-false)
  find . -mindepth 1 \( "${hidden[@]}" -prune -fprint0 "$work/hidden.$1" \) -o \( \
    -fprintf "$work/survey.$1" '%y %D:%i %s %T@ %C@ %p\0' \( \
      -type f "${match[@]}" -fprint0 "$work/files.$1" -fprintf "$work/sizes.$1" '%s\n' \
      -o -type l -fprint0 "$work/links.$1" \
      -o ! -type f ! -type d -fprint0 "$work/special.$1" \) \) \
    || stop 1 "$shown could not be read completely; no sums are written"
  sort -z -T "$work" -o "$work/survey.$1" "$work/survey.$1"
  sort -z -T "$work" -o "$work/files.$1" "$work/files.$1"
}
count() { tr -dc '\0' <"$work/$1" | wc -c; }

survey before
total=0
while read -r size; do total=$((total + size)); done <"$work/sizes.before"
files=$(count files.before)
say "$shown: $files files, $total bytes; left out: $(count links.before) links," \
  "$(count special.before) other entries, $(count hidden.before) hidden"
while IFS= read -r -d '' name; do
  printf 'not followed: %q\n' "$name"
done < <(head -z -n 20 "$work/links.before")

if [[ ${DRY_RUN:-} == true ]]; then
  say "dry run: would hash these files; nothing is written"
  exit 0
fi

mkdir "$work/public.partial"
sums=$work/public.partial/SHA256SUMS
: >"$sums"
hashed=0
# 250 names of at most 4 KiB stay below the kernel's limit of an argument list. Every name starts with "./", so
# that none is taken for an option or for standard input; sha256sum escapes newlines and backslashes itself.
while mapfile -d '' -n 250 -t batch && ((${#batch[@]} > 0)); do
  sha256sum -- "${batch[@]}" </dev/null >>"$sums" || stop 1 "a file could not be read; no sums are written"
  hashed=$((hashed + ${#batch[@]}))
  say "hashed $hashed of $files files"
done <"$work/files.before"

# sha256sum opens by name. A tree in which anything was changed, swapped or added meanwhile has no checksum.
survey after
[[ $(sha256sum <"$work/survey.before") == "$(sha256sum <"$work/survey.after")" ]] ||
  stop 1 "$shown changed while it was read; no sums are written"

mv -T -- "$work/public.partial" "$work/artifacts/public"
say "wrote public/SHA256SUMS: $files files, $total bytes"
# The result, for whoever comes next.
printf '{"files": %d, "bytes": %d}\n' "$files" "$total"
