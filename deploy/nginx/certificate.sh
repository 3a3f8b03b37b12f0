#!/bin/sh
# Puts the certificate where nginx reads it: the one in TLS_DIR, or else a self-signed one, made once.
# What the client apps trust is beside it, without the key.
set -eu
umask 077
if [ -n "$TLS_DIR" ]; then
  for file in fullchain.pem privkey.pem; do
    [ -s "/given/$file" ] || { echo "There is no $file in TLS_DIR, $TLS_DIR, or it is a link that leads out of it." >&2; exit 1; }
  done
  openssl x509 -in /given/fullchain.pem -noout -checkhost "$TLS_HOST" | grep -q " does match " ||
    { echo "The certificate in TLS_DIR is not for TLS_HOST, $TLS_HOST." >&2; exit 1; }
  cp /given/fullchain.pem /given/privkey.pem /tls/
elif [ ! -s /tls/fullchain.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=$TLS_HOST" \
    -addext "subjectAltName=DNS:$TLS_HOST,DNS:localhost,IP:127.0.0.1" \
    -addext "keyUsage=critical,digitalSignature,keyCertSign" \
    -keyout /tls/privkey.pem -out /tls/fullchain.pem
fi
cat /etc/ssl/certs/ca-certificates.crt /tls/fullchain.pem >/trust/ca.pem
chown -R 10001:10001 /tls /trust
