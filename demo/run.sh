#!/usr/bin/env bash
# Records a service, plays the recording to its old and its new version, and shows in what the new one differs. All of it
# on loopback, and all that it writes in a directory of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
l4dump=build/l4dump
dir=$(mktemp -d "${TMPDIR:-/tmp}/l4dump-demo.XXXXXX")
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait 2>/dev/null || true' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
waitfor() { # waitfor PORT WHAT
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "$2 does not answer on 127.0.0.1:$1" >&2
  exit 1
}

go build -o "$dir/shop" ./demo/shop
"$dir/shop" serve 127.0.0.1:18081 v1 & started+=($!)
"$dir/shop" serve 127.0.0.1:18082 v2 & started+=($!)
waitfor 18081 "the shop's old version"
waitfor 18082 "the shop's new version"

say "1. Record: 40 connections to the old version, through the proxy on 127.0.0.1:18080"
$l4dump run -c demo/envoy.yaml --format log >"$dir/run.txt" 2>"$dir/envoy.log" & recorder=$!
started+=("$recorder")
waitfor 18080 "the proxy"
"$dir/shop" load http://127.0.0.1:18080 40
kill -INT "$recorder"
wait "$recorder" || true

say "2. Look: l4dump inspect $dir/envoy.log"
$l4dump inspect "$dir/envoy.log" | sed -n '1,9p'

say "3. The old version against itself: l4dump replay … --baseline 127.0.0.1:18081 --target 127.0.0.1:18081 --noise-out …"
$l4dump replay "$dir/envoy.log" --baseline 127.0.0.1:18081 --target 127.0.0.1:18081 \
  --noise demo/noise.yaml --noise-out "$dir/noise.yaml"

say "4. The new version against the old one: l4dump replay … --baseline 127.0.0.1:18081 --target 127.0.0.1:18082 --noise …"
code=0
$l4dump replay "$dir/envoy.log" --baseline 127.0.0.1:18081 --target 127.0.0.1:18082 --noise "$dir/noise.yaml" --frozen \
  --html "$dir/report.html" || code=$?
[ $code = 1 ] || { echo "want exit code 1, for changed; got $code" >&2; exit 1; }
say "The new version forgets the price of an item. The page is $dir/report.html, what was recorded $dir/envoy.log"
