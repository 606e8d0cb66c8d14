#!/usr/bin/env bash
# Makes certificates, stores, a CRL and a secret in the current directory: what a configuration may name.
#
#   material.sh target/debug/zoogate
set -euo pipefail
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj "/O=Example/CN=CA" -keyout ca.key -out ca.crt
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=Example/CN=zk" -keyout tls.key -out tls.csr
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 7 -out tls.crt \
  -extfile <(printf 'subjectAltName=DNS:zk.example.com\nextendedKeyUsage=serverAuth\n')
printf changeit >pass
openssl pkcs12 -export -in tls.crt -inkey tls.key -passout file:pass -out server.p12
keytool -importcert -noprompt -alias ca -file ca.crt -storetype JKS -keystore trust.jks -storepass changeit
touch index.txt
echo 01 >crlnumber
printf '[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\n' >ca.cnf
openssl ca -config ca.cnf -gencrl -cert ca.crt -keyfile ca.key -crldays 7 -out ca.crl
"$1" secret >secret
