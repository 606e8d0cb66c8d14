package io.zoogate.zookeeper;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Map;

import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.server.ServerCnxn;
import org.apache.zookeeper.server.auth.AuthenticationProvider;
import org.apache.zookeeper.server.auth.ProviderRegistry;

/**
 * What a server is told to load, whatever its version: {@code authProvider.x509=} and this name.
 *
 * <p>Since 3.5, ZooKeeper casts the provider of the scheme {@code x509} to its own X509AuthenticationProvider when a
 * client of the native TLS port has shaken hands, and leaves the connection open, unchecked, when the cast fails. So
 * the provider must extend that class; and 3.4 doesn't have it, so that a class which extends it can't be loaded
 * there. No class can be both. This one extends nothing: on 3.4 it is the provider itself; on later versions it puts a
 * {@link GateX509AuthenticationProvider} into ZooKeeper's registry under {@code x509} while it is being
 * constructed, and is then registered itself under a scheme that admits nobody.
 */
public final class GateAuthenticationProvider implements AuthenticationProvider {
    private static final String SCHEME = "x509";
    private static final String UNUSED_SCHEME = "zoogate";
    private static final String NATIVE_PROVIDER = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";

    /** Null where another provider stands in for this one. */
    private final AssertionGate gate;
    private final Method sessionId;

    /**
     * Called by ZooKeeper, once or, when it reloads its certificates, more than once.
     *
     * @throws ReflectiveOperationException when this ZooKeeper's insides are unlike those of 3.4 to 3.9. ZooKeeper logs
     *     it and goes on without the scheme {@code x509}, which then refuses everybody.
     */
    public GateAuthenticationProvider() throws ReflectiveOperationException {
        if (hasNativeProvider()) {
            gate = null;
            sessionId = null;
            register(extendedProvider());
        } else {
            gate = new AssertionGate();
            // Not public in 3.4, though it is in both classes that extend it.
            sessionId = ServerCnxn.class.getDeclaredMethod("getSessionId");
            sessionId.setAccessible(true);
        }
    }

    @Override
    public String getScheme() {
        return gate == null ? UNUSED_SCHEME : SCHEME;
    }

    @Override
    public KeeperException.Code handleAuthentication(ServerCnxn cnxn, byte[] authData) {
        if (gate == null) {
            return KeeperException.Code.AUTHFAILED;
        }
        return gate.authenticate(cnxn, sessionIdOf(cnxn), authData);
    }

    @Override
    public boolean matches(String id, String aclExpr) {
        return gate != null && (id.equals(aclExpr) || AssertionGate.isSuperUser(id));
    }

    @Override
    public boolean isAuthenticated() {
        return gate != null;
    }

    @Override
    public boolean isValid(String id) {
        return gate != null && AssertionGate.isValidId(id);
    }

    private long sessionIdOf(ServerCnxn cnxn) {
        try {
            return (Long) sessionId.invoke(cnxn);
        } catch (ReflectiveOperationException e) {
            // ZooKeeper answers "authentication failed" when a provider throws.
            throw new IllegalStateException("the session id of a connection can't be read", e);
        }
    }

    private static boolean hasNativeProvider() {
        try {
            Class.forName(NATIVE_PROVIDER, false, ServerCnxn.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    // A method of its own: whoever runs it loads the class that 3.4 can't load.
    private static AuthenticationProvider extendedProvider() throws ReflectiveOperationException {
        return GateX509AuthenticationProvider.create();
    }

    // ZooKeeper constructs providers while it holds the registry's lock, so nobody sees the scheme half-registered.
    private static void register(AuthenticationProvider provider) throws ReflectiveOperationException {
        Field field = ProviderRegistry.class.getDeclaredField("authenticationProviders");
        field.setAccessible(true);
        @SuppressWarnings("unchecked")
        Map<String, AuthenticationProvider> providers = (Map<String, AuthenticationProvider>) field.get(null);
        synchronized (ProviderRegistry.class) {
            providers.put(SCHEME, provider);
        }
    }
}
