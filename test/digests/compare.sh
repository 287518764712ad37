#!/usr/bin/env bash
# compare.sh SIM_DIGEST [SIM_DIGEST...]: the same scenario and seed give the same digest, run after
# run (one program is run twice) and build after build (release and debug, clang++ and g++: name
# each; ./dev digests builds and compares them).
#
# Environment: SECONDS_EACH virtual seconds of each scenario (default 20)
#              SCENARIOS    names (default: all that are shipped but ten-thousand-sites)
set -euo pipefail
(($# > 0)) || {
  sed -n '2,7s/^# *//p' "$0" >&2
  exit 2
}
programs=("$@")
if (($# == 1)); then programs+=("$1"); fi
folder=$(dirname "$0")/../../scenarios
scenarios=${SCENARIOS:-$(basename -s .toml -a "$folder"/*.toml | grep -v ten-thousand-sites)}

status=0
for scenario in $scenarios; do
  digests=()
  for program in "${programs[@]}"; do
    line=$("$program" "$folder/$scenario.toml" "duration_s=${SECONDS_EACH:-20}") || line=''
    digests+=("${line##* }")
  done
  verdict=equal
  for digest in "${digests[@]}"; do
    if [[ -z $digest || $digest != "${digests[0]}" ]]; then verdict=DIFFERENT status=1; fi
  done
  printf '%-20s %-10s %s\n' "$scenario" "$verdict" "${digests[*]}"
done
exit "$status"
