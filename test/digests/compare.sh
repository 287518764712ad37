#!/usr/bin/env bash
# compare.sh PERIGEE [PERIGEE...]: the same scenario and seed give the same digest, run after run (one
# program is run twice) and build after build (release and debug, clang++ and g++: name each).
#
# Environment: SECONDS_EACH virtual seconds of each scenario (default 20)
#              SCENARIOS    names (default: all that are shipped but ten-thousand-sites)
#              POLICIES     comma-separated (default: five that use all of the simulator)
set -euo pipefail
(($# > 0)) || {
  sed -n '2,7s/^# *//p' "$0" >&2
  exit 2
}
programs=("$@")
if (($# == 1)); then programs+=("$1"); fi
policies=${POLICIES:-perigee,llmd_sticky,prequal,central_pooled,oracle}
seconds=${SECONDS_EACH:-20}
scenarios=${SCENARIOS:-}
if [[ -z $scenarios ]]; then
  scenarios=$("$1" sim --list -o json | grep -o '"name":"[^"]*"' | cut -d '"' -f 4 |
    grep -v ten-thousand-sites)
fi

digest_of() {  # PROGRAM SCENARIO
  "$1" sim "$2" --policy "$policies" --set "duration_s=$seconds" --seed 7 -o json |
    grep -o '"digest":"[^"]*"' | head -n 1 | cut -d '"' -f 4
}

status=0
for scenario in $scenarios; do
  digests=()
  for program in "${programs[@]}"; do digests+=("$(digest_of "$program" "$scenario")"); done
  verdict=equal
  for digest in "${digests[@]}"; do
    if [[ -z $digest || $digest != "${digests[0]}" ]]; then verdict=DIFFERENT status=1; fi
  done
  printf '%-20s %-10s %s\n' "$scenario" "$verdict" "${digests[*]}"
done
exit "$status"
