package io.zoogate.zookeeper;

import java.security.cert.Certificate;
import javax.net.ssl.X509KeyManager;
import javax.net.ssl.X509TrustManager;

import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.common.X509Exception;
import org.apache.zookeeper.server.ServerCnxn;
import org.apache.zookeeper.server.auth.X509AuthenticationProvider;

/**
 * The scheme {@code x509} on ZooKeeper 3.5 and later: clients of a native TLS port are treated as ZooKeeper treats them,
 * and all others must bring an assertion of zoogate's.
 *
 * <p>{@link GateAuthenticationProvider} finds the right class by itself. This one may be named in its place
 * where 3.4 doesn't matter.
 */
public final class GateX509AuthenticationProvider extends X509AuthenticationProvider {
    private final AssertionGate gate = new AssertionGate();

    /**
     * Takes the key and trust stores of the server's own TLS settings, as ZooKeeper's provider does.
     *
     * @throws X509Exception when ZooKeeper's provider can't be constructed.
     */
    public GateX509AuthenticationProvider() throws X509Exception {
        super();
    }

    private GateX509AuthenticationProvider(X509TrustManager trustManager, X509KeyManager keyManager) {
        super(trustManager, keyManager);
    }

    /**
     * Makes the provider that suits the server's settings.
     *
     * @return one that trusts no certificate, and says nothing of missing stores, where the server has no TLS.
     * @throws ReflectiveOperationException when ZooKeeper's provider can't be constructed.
     */
    static GateX509AuthenticationProvider create() throws ReflectiveOperationException {
        if (System.getProperty("zookeeper.ssl.trustStore.location") == null
                && System.getProperty("zookeeper.ssl.keyStore.location") == null) {
            // Without a trust manager, ZooKeeper's provider refuses every certificate.
            return new GateX509AuthenticationProvider(null, null);
        }
        try {
            return new GateX509AuthenticationProvider();
        } catch (X509Exception e) {
            throw new ReflectiveOperationException("ZooKeeper's own TLS settings are not usable", e);
        }
    }

    @Override
    public KeeperException.Code handleAuthentication(ServerCnxn cnxn, byte[] authData) {
        if (hasCertificate(cnxn)) {
            // Whatever the packet says, the certificate decides.
            return super.handleAuthentication(cnxn, authData);
        }
        if (cnxn.isSecure()) {
            return gate.refuse(cnxn, cnxn.getSessionId(), "a client of the native TLS port that showed no certificate");
        }
        return gate.authenticate(cnxn, cnxn.getSessionId(), authData);
    }

    @Override
    public boolean isValid(String id) {
        return AssertionGate.isValidId(id);
    }

    private static boolean hasCertificate(ServerCnxn cnxn) {
        try {
            Certificate[] chain = cnxn.getClientCertificateChain();
            return chain != null && chain.length > 0;
        } catch (UnsupportedOperationException e) {
            // NIO connections, which can't be TLS.
            return false;
        }
    }
}
