# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_zoogate_global_optspecs
    string join \n h/help V/version
end

function __fish_zoogate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_zoogate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_zoogate_using_subcommand
    set -l cmd (__fish_zoogate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c zoogate -n "__fish_zoogate_needs_command" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_needs_command" -s V -l version -d 'Print version'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "run" -d 'Stand in front of a ZooKeeper server until stopped'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "check" -d 'Say everything that is wrong with a configuration, and exit'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "explain" -d 'Say whether a client would be let in, as whom, until when; or why not'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "identity" -d 'Print the ACL ids of a certificate, as `zkCli.sh setAcl` takes them'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "probe" -d 'Ask a running gate whether it is ready, or alive'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "wait-upstream-closed" -d 'Wait until ZooKeeper takes no more connections, to let the gate stop after it'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "drain" -d 'Tell a running gate to send its clients away, and to stop'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "secret" -d 'Print a new random secret for `identity.secret_file`'
complete -c zoogate -n "__fish_zoogate_needs_command" -f -a "version" -d 'Print the version, and the revision that it was built from'
complete -c zoogate -n "__fish_zoogate_using_subcommand run" -l config -d 'The configuration, YAML' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand run" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_using_subcommand check" -l config -d 'The configuration, YAML' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand check" -l zoo-cfg -d 'Print the configuration that stands for this server\'s own settings, a zoo.cfg' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand check" -l jvm-flags -d 'A file with the server\'s Java options, such as java.env; its -Dzookeeper.… stand behind zoo.cfg' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand check" -l upstream -d 'Also ask ZooKeeper for its version, its mode, and what in its settings defeats the gate'
complete -c zoogate -n "__fish_zoogate_using_subcommand check" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l config -d 'Judge by this configuration' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l trust-store -d 'Judge by this trust store instead: PEM, PKCS#12 or JKS' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l trust-store-password-file -d 'The trust store\'s password' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l crl -d 'A CRL, PEM or DER; may be given more than once' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l from -d 'subject, san_uri, san_dns, san_email or common_name [default: subject]' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l secret-file -d 'The identity secret; without it there is no digest id to print' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l digest-algorithm -d 'How the servers hash digest credentials [default: sha1]' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l at -d 'Judge as of this time instead of now, like 2027-01-01T00:00:00Z' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -l output -d 'How to print the verdict' -r -f -a "text\t'Lines for people'
json\t'One JSON object'"
complete -c zoogate -n "__fish_zoogate_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c zoogate -n "__fish_zoogate_using_subcommand identity" -l config -d 'Take `identity` from this configuration' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand identity" -l from -d 'subject, san_uri, san_dns, san_email or common_name [default: subject]' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand identity" -l secret-file -d 'The identity secret; without it there is no digest id to print' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand identity" -l digest-algorithm -d 'How the servers hash digest credentials [default: sha1]' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand identity" -l batch -d 'Read base64 DER certificates from standard input, one a line; print JSON, one object a line'
complete -c zoogate -n "__fish_zoogate_using_subcommand identity" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_using_subcommand probe" -l config -d 'Ask at `admin.address` of this configuration' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand probe" -l admin -d 'Ask at this address' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand probe" -l timeout -d 'How long to wait for the answer' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand probe" -l live -d 'Ask whether it is alive'
complete -c zoogate -n "__fish_zoogate_using_subcommand probe" -l ready -d 'Ask whether it can serve clients; the default'
complete -c zoogate -n "__fish_zoogate_using_subcommand probe" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_using_subcommand wait-upstream-closed" -l config -d 'Take `upstream.address` from this configuration' -r -F
complete -c zoogate -n "__fish_zoogate_using_subcommand wait-upstream-closed" -l upstream -d 'ZooKeeper\'s address' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand wait-upstream-closed" -l timeout -d 'How long to wait at most' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand wait-upstream-closed" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_using_subcommand drain" -l pid -d 'The gate\'s process, where several run' -r
complete -c zoogate -n "__fish_zoogate_using_subcommand drain" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_using_subcommand secret" -s h -l help -d 'Print help'
complete -c zoogate -n "__fish_zoogate_using_subcommand version" -s h -l help -d 'Print help'
