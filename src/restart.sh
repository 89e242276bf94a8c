#!/bin/sh
# Everything in a container ends with its main process. This one starts Signalbox again when it was killed, so that the
# Terraforms that it left running live on and are taken up. A start that fails at once is told to whoever runs the container.
stopping=
trap 'stopping=1; kill -TERM "$pid"' TERM INT
while :; do
  begun=$(date +%s)
  node --enable-source-maps dist/index.js &
  pid=$!
  # A signal ends `wait`, not what is waited for.
  while wait "$pid"; code=$?; kill -0 "$pid" 2>/dev/null; do :; done
  if [ "$stopping" ] || [ "$code" -eq 0 ]; then exit "$code"; fi
  if [ "$code" -lt 128 ] && [ "$(($(date +%s) - begun))" -lt 60 ]; then exit "$code"; fi
  echo "Signalbox ended with $code and is started again." >&2
  sleep 1
done
