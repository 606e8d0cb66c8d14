import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/**
 * Leads, holds a lock and keeps an ephemeral znode, as an application on Curator would. Each line of standard input asks for
 * something, and each answer is one line of standard output.
 *
 * <pre>CuratorClient HOST:PORT,HOST:PORT,…</pre>
 *
 * TLS comes from the JVM's system properties alone, and all of Curator's settings are its defaults.
 */
public final class CuratorClient {
    private static final long PATIENCE_S = 40;
    private static final byte[] DATA = "present".getBytes(StandardCharsets.UTF_8);

    private final String given;
    private final CuratorFramework client;
    private final List<ConnectionState> states = new CopyOnWriteArrayList<>();
    private final LeaderLatch latch;
    private final InterProcessMutex mutex;
    private final PersistentNode node;
    private long session;

    public static void main(String[] args) throws Exception {
        CuratorClient program = new CuratorClient(args[0]);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String command = commands.readLine(); command != null; command = commands.readLine()) {
            String answer;
            try {
                answer = program.answer(command);
            } catch (Exception e) {
                answer = e.getClass().getSimpleName() + ": " + e.getMessage();
            }
            System.out.println(answer);
        }
        // Closing takes its time where there is no ensemble to say goodbye to.
        System.exit(0);
    }

    private CuratorClient(String servers) {
        given = servers;
        client = CuratorFrameworkFactory.newClient(servers, new ExponentialBackoffRetry(100, 10));
        client.getConnectionStateListenable().addListener((curator, state) -> states.add(state));
        latch = new LeaderLatch(client, "/curator/latch");
        mutex = new InterProcessMutex(client, "/curator/mutex");
        node = new PersistentNode(client, CreateMode.EPHEMERAL, false, "/curator/node", DATA);
    }

    private String answer(String command) throws Exception {
        switch (command) {
            case "start":
                return start();
            case "servers":
                eventually(() -> !servers().equals(given));
                return servers();
            case "server":
                return server();
            case "work":
                return work();
            case "lost":
                return lost();
            case "states":
                return states.toString();
            default:
                throw new IllegalArgumentException(command);
        }
    }

    private String start() throws Exception {
        client.start();
        latch.start();
        node.start();
        boolean created = node.waitForInitialCreate(PATIENCE_S, TimeUnit.SECONDS);
        boolean acquired = mutex.acquire(PATIENCE_S, TimeUnit.SECONDS);
        session = client.getZookeeperClient().getZooKeeper().getSessionId();
        return work() + (created && acquired ? "" : ", late");
    }

    /** Where the program would connect next. */
    private String servers() {
        return client.getZookeeperClient().getCurrentConnectionString();
    }

    /** Where the program is connected. */
    private String server() throws Exception {
        Matcher remote =
                Pattern.compile("remoteserver:[^/]*/(\\S+)").matcher(client.getZookeeperClient().getZooKeeper().toString());
        return remote.find() ? remote.group(1) : "none";
    }

    /** Waits until there is a connection again, and then shows that nothing was lost. */
    private String work() throws Exception {
        StringBuilder done = new StringBuilder();
        done.append(client.blockUntilConnected((int) PATIENCE_S, TimeUnit.SECONDS) ? "connected" : "not connected");
        done.append(latch.await(PATIENCE_S, TimeUnit.SECONDS) ? ", leads" : ", leads not");
        mutex.release();
        done.append(mutex.acquire(PATIENCE_S, TimeUnit.SECONDS) ? ", locks" : ", locks not");
        Stat stat = client.checkExists().forPath("/curator/node");
        done.append(stat != null && stat.getEphemeralOwner() == session ? ", is present" : ", is absent");
        long now = client.getZookeeperClient().getZooKeeper().getSessionId();
        return done.append(now == session ? ", in the same session" : ", in another session").toString();
    }

    /** Waits until Curator gives the session up, and then some more for it to come back. */
    private String lost() throws Exception {
        if (!eventually(() -> states.contains(ConnectionState.LOST))) {
            return "not lost";
        }
        TimeUnit.SECONDS.sleep(5);
        boolean back = states.lastIndexOf(ConnectionState.RECONNECTED) > states.indexOf(ConnectionState.LOST);
        return (back ? "came back" : "lost for good") + (latch.hasLeadership() ? ", leads" : ", leads not");
    }

    private static boolean eventually(BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                return false;
            }
            TimeUnit.MILLISECONDS.sleep(20);
        }
        return true;
    }
}
