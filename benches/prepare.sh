# Read by the scripts that measure: builds, makes certificates, fetches HAProxy. Needs Rust, openssl, and for HAProxy
# either the program or Debian's apt. Sets $directory, $measure (the measuring program) and $libraries (HAProxy's), and
# puts what the measuring program needs to know before the script's own arguments.

cd "$(dirname "$0")/.."
directory=${BENCH_DIRECTORY:-target/bench}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)

say() { printf '== %s\n' "$*"; }

certificates() {
    [ -s "$directory/client.pem" ] && return
    say "making a CA and certificates (ECDSA P-256)"
    cd "$directory"
    openssl ecparam -genkey -name prime256v1 -noout -out ca.key
    openssl req -x509 -new -key ca.key -subj "/O=Benchmark/CN=CA" -days 3650 -out ca.pem
    for role in server client; do
        usage=serverAuth
        [ $role = client ] && usage=clientAuth
        printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=%s\nkeyUsage=digitalSignature\n' $usage > $role.ext
        # PKCS#8, which every relay reads.
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $role.key
        openssl req -new -key $role.key -subj "/O=Benchmark/OU=Measuring/CN=$role" -out $role.csr
        openssl x509 -req -in $role.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
            -extfile $role.ext -out $role.pem 2>/dev/null
    done
    cat server.pem server.key > server-and-key.pem
    openssl rand -base64 32 > secret
    cd - >/dev/null
}

# Prints the path of HAProxy's program, if there is one to be had. Debian's package is only unpacked, so that no
# service is started.
haproxy_program() {
    if command -v haproxy; then return; fi
    unpacked=$directory/haproxy
    if [ ! -x "$unpacked/usr/sbin/haproxy" ] && command -v apt-get >/dev/null; then
        mkdir -p "$unpacked"
        (cd "$unpacked" && apt-get download haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 >/dev/null 2>&1 &&
            for package in ./*.deb; do dpkg -x "$package" .; done) || return 0
    fi
    [ ! -x "$unpacked/usr/sbin/haproxy" ] || echo "$unpacked/usr/sbin/haproxy"
}

# With two CPUs or more, relays get one for themselves; elsewhere the scheduler decides. Sets $pin for everything else.
pin_relays() {
    pin=
    if [ -z "${BENCH_NO_PINNING:-}" ] && [ "$(nproc)" -gt 1 ] && command -v taskset >/dev/null; then pin="taskset -c 0"; fi
}

say "building (release)"
measure=$(cargo bench --bench measure --no-run --message-format=json |
    sed -n 's/.*"name":"measure".*"executable":"\([^"]*\)".*/\1/p')
# Last: the benchmark's build leaves a zoogate with the features of its tests.
cargo build --release --bin zoogate
certificates

haproxy=$(haproxy_program)
libraries=$directory/haproxy/usr/lib/$(uname -m)-linux-gnu
if [ -n "$haproxy" ]; then
    say "$(LD_LIBRARY_PATH=$libraries "$haproxy" -v | head -n 1)"
else
    say "no HAProxy to be had: measuring without it"
fi
set -- --directory "$directory" --zoogate target/release/zoogate ${haproxy:+--haproxy "$haproxy"} "$@"
say "measuring"
