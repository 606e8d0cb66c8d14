import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/**
 * Clients that write without end, and know what became of each write: java Load SERVERS CLIENTS STOP-FILE. Every other
 * one has an ephemeral znode. Prints "connected" when all have a session and, when the file is there, one line of JSON.
 */
public final class Load {
    static final AtomicInteger writes = new AtomicInteger(), connects = new AtomicInteger(), notDone = new AtomicInteger(), lostSessions = new AtomicInteger(), lostEphemerals = new AtomicInteger();
    /** Of each write that was done and never answered: whose it was, and when the connection ended. */
    static final Queue<String> unanswered = new ConcurrentLinkedQueue<>();

    public static void main(String[] arguments) throws Exception {
        int count = Integer.parseInt(arguments[1]);
        Path stop = Path.of(arguments[2]);
        List<Thread> threads = new ArrayList<>();
        AtomicInteger ready = new AtomicInteger();
        for (int i = 0; i < count; i++) {
            int number = i;
            Thread thread = new Thread(() -> client(arguments[0], number, stop, ready));
            thread.start();
            threads.add(thread);
        }
        while (ready.get() < count) {
            Thread.sleep(50);
        }
        System.out.println("connected");
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.printf("{\"clients\": %d, \"writes\": %s, \"connects\": %s, \"unanswered\": [%s], \"not_done\": %s, \"lost_sessions\": %s, \"lost_ephemerals\": %s}%n",
                count, writes, connects, String.join(", ", unanswered), notDone, lostSessions, lostEphemerals);
        System.exit(0);
    }

    static void client(String servers, int number, Path stop, AtomicInteger ready) {
        try {
            ZooKeeper zk = new ZooKeeper(servers, 30_000, event -> {
                if (event.getState() == KeeperState.SyncConnected && event.getPath() == null) {
                    connects.incrementAndGet();
                } else if (event.getState() == KeeperState.Expired || event.getState() == KeeperState.AuthFailed) {
                    lostSessions.incrementAndGet();
                }
            });
            String root = "/load-" + number + "-" + System.nanoTime();
            String ephemeral = root + "-alive";
            write(zk, root, CreateMode.PERSISTENT);
            if (number % 2 == 0) {
                write(zk, ephemeral, CreateMode.EPHEMERAL);
            }
            long session = zk.getSessionId();
            ready.incrementAndGet();
            for (int i = 0; !Files.exists(stop); i++) {
                write(zk, root + "/" + i, CreateMode.PERSISTENT);
                writes.incrementAndGet();
                Thread.sleep(20);
            }
            Stat stat = number % 2 == 0 ? again(() -> zk.exists(ephemeral, false)) : null;
            if (zk.getSessionId() != session) {
                lostSessions.incrementAndGet();
            }
            if (number % 2 == 0 && (stat == null || stat.getEphemeralOwner() != session)) {
                lostEphemerals.incrementAndGet();
            }
            zk.close();
        } catch (Exception error) {
            error.printStackTrace();
            lostSessions.incrementAndGet();
            ready.incrementAndGet();
        }
    }

    /** Creates a znode that nobody else creates. If the answer does not come, it looks whether the server has done it. */
    static void write(ZooKeeper zk, String path, CreateMode mode) throws Exception {
        while (true) {
            try {
                zk.create(path, new byte[0], Ids.CREATOR_ALL_ACL, mode);
                return;
            } catch (KeeperException.ConnectionLossException lost) {
                long now = System.currentTimeMillis();
                if (again(() -> zk.exists(path, false)) != null) {
                    unanswered.add(String.format("[\"0x%x\", %d]", zk.getSessionId(), now));
                    return;
                }
                notDone.incrementAndGet();
            }
        }
    }

    static Stat again(Callable<Stat> question) throws Exception {
        while (true) {
            try {
                return question.call();
            } catch (KeeperException.ConnectionLossException lost) {
                Thread.sleep(50);
            }
        }
    }
}
