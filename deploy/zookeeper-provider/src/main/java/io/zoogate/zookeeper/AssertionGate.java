package io.zoogate.zookeeper;

import java.net.InetSocketAddress;

import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.server.ServerCnxn;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Decides on the auth packets of the scheme {@code x509} that come without a certificate. */
final class AssertionGate {
    private static final Logger LOG = LoggerFactory.getLogger("io.zoogate.zookeeper");
    private static final String SUPER_USER = "zookeeper.X509AuthenticationProvider.superUser";

    private final SecretFile secrets = SecretFile.ofProcess();

    /**
     * Gives the connection the identity that the assertion is about, when everything about it is right.
     *
     * @param sessionId that of the connection, as the server knows it.
     * @param authData the auth packet's data, null if it had none.
     */
    KeeperException.Code authenticate(ServerCnxn cnxn, long sessionId, byte[] authData) {
        InetSocketAddress peer = cnxn.getRemoteSocketAddress();
        if (peer == null || peer.getAddress() == null || !peer.getAddress().isLoopbackAddress()) {
            return refuse(cnxn, sessionId, "the peer's address is not loopback");
        }
        if (sessionId == 0) {
            return refuse(cnxn, sessionId, "the connection has no session");
        }
        Assertion assertion;
        try {
            assertion = Assertion.parse(authData);
        } catch (Assertion.Malformed e) {
            return refuse(cnxn, sessionId, e.getMessage());
        }
        if (!isGenuine(assertion, sessionId)) {
            return refuse(cnxn, sessionId, secrets.isEmpty()
                    ? "no secret could be read from the file that zoogate.secretFile names"
                    : "made with another secret, for another session, or tampered with");
        }
        if (isSuperUser(assertion.identity()) && !assertion.isSuper()) {
            // ZooKeeper's provider lets this id pass every ACL, with the id of the scheme "super" or without.
            return refuse(cnxn, sessionId, "it is the server's X509AuthenticationProvider.superUser, and identity.super"
                    + " of zoogate does not list it: list it there, or give the client another identity");
        }
        admit(cnxn, sessionId, assertion);
        return KeeperException.Code.OK;
    }

    /** Logs who was refused and why. The reason must say nothing of the packet's content. */
    KeeperException.Code refuse(ServerCnxn cnxn, long sessionId, String reason) {
        LOG.warn("Refused x509 authentication of {}, session 0x{}: {}",
                cnxn.getRemoteSocketAddress(), Long.toHexString(sessionId), reason);
        return KeeperException.Code.AUTHFAILED;
    }

    /** Whether ZooKeeper's own setting gives the id every right. */
    static boolean isSuperUser(String id) {
        return id.equals(System.getProperty(SUPER_USER));
    }

    /**
     * Whether an ACL may name the id: any text, since zoogate can map a certificate to any. ZooKeeper's own provider
     * takes distinguished names only.
     */
    static boolean isValidId(String id) {
        return id != null && !id.isEmpty();
    }

    private boolean isGenuine(Assertion assertion, long sessionId) {
        // The second look catches a file that was changed within the last second.
        return assertion.isMadeWith(secrets.recent(), sessionId)
                || assertion.isMadeWith(secrets.latest(), sessionId);
    }

    private static void admit(ServerCnxn cnxn, long sessionId, Assertion assertion) {
        String identity = assertion.identity();
        if (assertion.isSuper()) {
            cnxn.addAuthInfo(new Id("super", identity));
        }
        cnxn.addAuthInfo(new Id("x509", identity));
        LOG.info("Authenticated {}, session 0x{}, as x509:{}{}", cnxn.getRemoteSocketAddress(),
                Long.toHexString(sessionId), printable(identity), assertion.isSuper() ? " and super" : "");
    }

    // A subject may hold line breaks, which would let its owner write lines into the server's log.
    private static String printable(String identity) {
        StringBuilder line = new StringBuilder(identity.length());
        for (char c : identity.toCharArray()) {
            boolean breaks = Character.isISOControl(c) || c == '\u2028' || c == '\u2029';
            line.append(breaks ? String.format("\\u%04x", (int) c) : c);
        }
        return line.toString();
    }
}
