package org.apache.zookeeper;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Stat;

/**
 * Works on a ZooKeeper as an application would, and prints one line per step: {@code step<TAB>outcome}.
 *
 * <pre>GateClient HOST:PORT ROOT [SCHEME CREDENTIAL]</pre>
 *
 * TLS comes from the JVM's system properties alone. With four arguments the client adds that credential before it is
 * connected, which makes the Netty transport send it twice, in one segment with the ConnectRequest.
 *
 * It lives in ZooKeeper's package because nothing public cuts a client's connection without ending its session.
 */
public final class GateClient implements Watcher {
    private static final int TIMEOUT_MS = 10_000;
    private static final long PATIENCE_S = 20;

    private final BlockingQueue<WatchedEvent> states = new LinkedBlockingQueue<>();
    private final BlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();

    public static void main(String[] args) throws Exception {
        new GateClient().run(args[0], args[1], args.length > 2 ? args[2] : null, args.length > 2 ? args[3] : null);
    }

    @Override
    public void process(WatchedEvent event) {
        (event.getType() == EventType.None ? states : events).add(event);
    }

    private void run(String servers, String root, String scheme, String credential) throws Exception {
        ZooKeeper zk = new ZooKeeper(servers, TIMEOUT_MS, this);
        if (scheme != null) {
            zk.addAuthInfo(scheme, credential.getBytes(StandardCharsets.UTF_8));
        }
        await(KeeperState.SyncConnected);
        print("connected", "yes");
        print("whoami", whoAmI(zk));

        print("create", zk.create(root, bytes("v0"), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        print("acl", acl(zk, root));
        try {
            zk.create(root, bytes("again"), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            print("create again", "created");
        } catch (KeeperException e) {
            print("create again", e.code().toString());
        }

        zk.getData(root, true, null);
        zk.getChildren(root, true);
        zk.setData(root, bytes("v1"), 0);
        print("data event", event());
        zk.create(root + "/ephemeral", bytes("e"), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.EPHEMERAL);
        print("child event", event());

        reconnect(zk, root);

        // An update of two nodes in one multi, and one that must fail as a whole.
        print("multi", Integer.toString(zk.transaction()
                .check(root, 1)
                .create(root + "/m", bytes("m"), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT)
                .delete(root + "/m", -1)
                .commit().size()));
        try {
            zk.transaction().check(root, 99).delete(root, -1).commit();
            print("bad multi", "done");
        } catch (KeeperException e) {
            print("bad multi", e.code().toString());
        }

        zk.close();
        print("closed", "yes");
    }

    /** Cuts the connection: the client must come back to the same session, its watches and its identity. */
    private void reconnect(ZooKeeper zk, String root) throws Exception {
        long session = zk.getSessionId();
        zk.getData(root, true, null);
        states.clear();
        zk.cnxn.sendThread.testableCloseSocket();
        await(KeeperState.Disconnected);
        await(KeeperState.SyncConnected);
        print("same session", Boolean.toString(session == zk.getSessionId()));
        Stat stat = zk.exists(root + "/ephemeral", false);
        print("ephemeral survives", Boolean.toString(stat != null && stat.getEphemeralOwner() == session));
        print("data after reconnect", new String(zk.getData(root, false, null), StandardCharsets.UTF_8));
        zk.setData(root, bytes("v1"), 1);
        print("event after reconnect", event());
        zk.setData(root, bytes("v1"), 2);
        zk.delete(root + "/ephemeral", -1);
        zk.delete(root, 3);
        zk.create(root, bytes("v0"), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        zk.setData(root, bytes("v1"), 0);
    }

    private void await(KeeperState wanted) throws InterruptedException {
        WatchedEvent event;
        do {
            event = states.poll(PATIENCE_S, TimeUnit.SECONDS);
            if (event == null || event.getState() == KeeperState.AuthFailed) {
                throw new IllegalStateException("waited for " + wanted + ", got " + event);
            }
        } while (event.getState() != wanted);
    }

    private String event() throws InterruptedException {
        WatchedEvent event = events.poll(PATIENCE_S, TimeUnit.SECONDS);
        return event == null ? "none" : event.getType() + " " + event.getPath();
    }

    private static String whoAmI(ZooKeeper zk) throws InterruptedException {
        List<String> ids = new ArrayList<>();
        List<ClientInfo> infos = zk.whoAmI();
        if (infos == null) {
            // A client whose credential is refused gets nothing here, and no exception either.
            throw new IllegalStateException("no answer to whoAmI: " + zk.getState());
        }
        for (ClientInfo info : infos) {
            ids.add(info.getAuthScheme() + ":" + info.getUser());
        }
        return sorted(ids);
    }

    private static String acl(ZooKeeper zk, String path) throws Exception {
        List<String> entries = new ArrayList<>();
        for (ACL acl : zk.getACL(path, new Stat())) {
            entries.add(acl.getId().getScheme() + ":" + acl.getId().getId() + ":" + acl.getPerms());
        }
        return sorted(entries);
    }

    private static String sorted(List<String> words) {
        String[] all = words.toArray(new String[0]);
        Arrays.sort(all);
        return String.join(" ", all);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void print(String step, String outcome) {
        System.out.println(step + "\t" + outcome);
    }
}
