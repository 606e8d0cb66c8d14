package org.apache.zookeeper;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.client.ZKClientConfig;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * An application of ZooKeeper's own TLS: two people who give each other rights by {@code x509} ids. Prints one line
 * per step: {@code step<TAB>outcome}.
 *
 * <pre>NativeAcls HOST:PORT ROOT TRUST_STORE PASSWORD ALICE_KEY_STORE ALICE_ID BOB_KEY_STORE BOB_ID</pre>
 */
public final class NativeAcls {
    private static final int TIMEOUT_MS = 10_000;
    private static final long PATIENCE_S = 20;

    private final String servers;
    private final String root;
    private final String trustStore;
    private final String password;

    private NativeAcls(String servers, String root, String trustStore, String password) {
        this.servers = servers;
        this.root = root;
        this.trustStore = trustStore;
        this.password = password;
    }

    public static void main(String[] args) throws Exception {
        System.setOut(new PrintStream(System.out, true, StandardCharsets.UTF_8));
        NativeAcls story = new NativeAcls(args[0], args[1], args[2], args[3]);
        ZooKeeper alice = story.connect(args[4]);
        ZooKeeper bob = story.connect(args[6]);
        story.grants(alice, bob, args[5], args[7]);
        story.multis(alice, bob, args[5], args[7]);
        story.names(alice, args[5]);
        alice.close();
        bob.close();
    }

    private ZooKeeper connect(String keyStore) throws Exception {
        ZKClientConfig config = new ZKClientConfig();
        config.setProperty(ZKClientConfig.ZOOKEEPER_CLIENT_CNXN_SOCKET, "org.apache.zookeeper.ClientCnxnSocketNetty");
        config.setProperty(ZKClientConfig.SECURE_CLIENT, "true");
        config.setProperty("zookeeper.ssl.keyStore.location", keyStore);
        config.setProperty("zookeeper.ssl.keyStore.password", password);
        config.setProperty("zookeeper.ssl.trustStore.location", trustStore);
        config.setProperty("zookeeper.ssl.trustStore.password", password);
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(servers, TIMEOUT_MS, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        }, config);
        // Programs add the identity that the connection has already.
        zk.addAuthInfo("x509", new byte[0]);
        if (!connected.await(PATIENCE_S, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not connected");
        }
        return zk;
    }

    private void grants(ZooKeeper alice, ZooKeeper bob, String aliceId, String bobId) {
        List<ACL> shared = acls(acl(31, aliceId), acl(ZooDefs.Perms.READ, bobId));
        step("alice creates", () -> alice.create(root, bytes("v0"), shared, CreateMode.PERSISTENT));
        step("alice reads the ACL", () -> acl(alice, root));
        step("bob reads", () -> text(bob.getData(root, false, null)));
        step("bob reads the ACL", () -> acl(bob, root));
        step("bob writes", () -> bob.setData(root, bytes("v1"), -1).getVersion());
        step("bob sets the ACL", () -> bob.setACL(root, acls(acl(31, bobId)), -1).getAversion());

        List<ACL> both = acls(acl(ZooDefs.Perms.READ | ZooDefs.Perms.WRITE | ZooDefs.Perms.CREATE, bobId), acl(31, aliceId));
        step("alice lets bob write", () -> alice.setACL(root, both, 0).getAversion());
        step("bob writes now", () -> bob.setData(root, bytes("v1"), 0).getVersion());
        step("the ACL comes back in its order", () -> both.equals(alice.getACL(root, new Stat())));
        step("the ACL goes round", () -> alice.setACL(root, alice.getACL(root, new Stat()), 1).getAversion());
        step("and is the same", () -> acl(alice, root));

        step("bob creates for himself", () -> bob.create(root + "/bob", bytes("b"), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        step("bob is in its ACL", () -> acl(bob, root + "/bob"));
        step("alice reads bob's", () -> text(alice.getData(root + "/bob", false, null)));
        step("bob lets alice read", () -> bob.setACL(root + "/bob", acls(acl(31, bobId), acl(ZooDefs.Perms.READ, aliceId)), -1).getAversion());
        step("alice reads bob's now", () -> text(alice.getData(root + "/bob", false, null)));
        step("alice lists", () -> alice.getChildren(root, false));
        step("bob locks alice out", () -> bob.setACL(root + "/bob", acls(acl(31, bobId)), 1).getAversion());
        step("alice is out", () -> text(alice.getData(root + "/bob", false, null)));
    }

    private void multis(ZooKeeper alice, ZooKeeper bob, String aliceId, String bobId) {
        step("a multi", () -> bob.transaction()
                .check(root, 1)
                .create(root + "/m", bytes("m"), acls(acl(31, bobId), acl(ZooDefs.Perms.READ, aliceId)), CreateMode.PERSISTENT)
                .setData(root + "/m", bytes("n"), 0)
                .create(root + "/m/e", bytes("e"), acls(acl(31, aliceId)), CreateMode.EPHEMERAL)
                .commit().size());
        step("leaves its ACL", () -> acl(alice, root + "/m"));
        step("gives a znode away", () -> text(bob.getData(root + "/m/e", false, null)));
        step("to alice", () -> text(alice.getData(root + "/m/e", false, null)));
        step("a multi that fails", () -> bob.transaction()
                .create(root + "/n", bytes("m"), acls(acl(31, bobId)), CreateMode.PERSISTENT)
                .check(root, 99)
                .commit().size());
        step("leaves nothing", () -> alice.exists(root + "/n", false) == null);
        step("a multi of one who may not", () -> alice.transaction()
                .create(root + "/m/x", bytes("m"), acls(acl(31, aliceId)), CreateMode.PERSISTENT)
                .commit().size());
    }

    private void names(ZooKeeper alice, String aliceId) {
        step("a name that is none", () -> alice.create(root + "/x", bytes(""), acls(acl(31, "alice")), CreateMode.PERSISTENT));
        for (String name : Arrays.asList("CN=Zo\u00eb \u65e5\u672c,O=Acme\\, \\\"Inc.\\\"", "cn = nobody; o=%/:", "CN=:,O=x509/CN\\=a")) {
            step("a stranger", () -> alice.create(root + "/x", bytes(""), acls(acl(31, aliceId), acl(1, name)), CreateMode.PERSISTENT));
            step("comes back", () -> acl(alice, root + "/x"));
            step("and goes", () -> {
                alice.delete(root + "/x", 0);
                return "deleted";
            });
        }
        List<ACL> many = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            many.add(acl(1 + i % 31, "CN=service " + i + ",OU=unit,O=Acme,C=US"));
        }
        step("many strangers", () -> alice.create(root + "/many", bytes(""), many, CreateMode.PERSISTENT));
        many.add(acl(31, aliceId));
        step("and more", () -> alice.create(root + "/more", bytes(""), many, CreateMode.PERSISTENT));
        step("come back", () -> many.equals(alice.getACL(root + "/more", new Stat())));
    }

    private interface Action {
        Object run() throws KeeperException, InterruptedException;
    }

    private static void step(String name, Action action) {
        String outcome;
        try {
            outcome = String.valueOf(action.run());
        } catch (KeeperException e) {
            outcome = e.code().toString();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        System.out.println(name + "\t" + outcome);
    }

    private static String acl(ZooKeeper zk, String path) throws KeeperException, InterruptedException {
        StringBuilder entries = new StringBuilder();
        for (ACL acl : zk.getACL(path, new Stat())) {
            entries.append('[').append(acl.getId().getScheme()).append(' ').append(acl.getId().getId()).append(' ').append(acl.getPerms()).append(']');
        }
        return entries.toString();
    }

    private static ACL acl(int rights, String name) {
        return new ACL(rights, new Id("x509", name));
    }

    private static List<ACL> acls(ACL... acls) {
        return Arrays.asList(acls);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
