package io.zoogate.zookeeper;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The file of secrets that zoogate has too. It is read again while the server runs, so that a secret can be
 * replaced; a file that can't be used leaves the secrets as they were.
 *
 * <p>One secret a line, white space around it dropped; empty lines and lines that begin with {@code #} are ignored. What
 * zoogate refuses in it is refused here too, lest one of the two works with half of the secrets.
 */
final class SecretFile {
    private static final Logger LOG = LoggerFactory.getLogger("io.zoogate.zookeeper");
    private static final String PROPERTY = "zoogate.secretFile";
    /** What ZooKeeper makes of that line in zoo.cfg. */
    private static final String ZOO_CFG_PROPERTY = "zookeeper." + PROPERTY;
    private static final int MIN_SECRET = 32;
    private static final int MAX_SECRETS = 8;
    private static final int MAX_FILE = 64 * 1024;
    private static final long FRESH_NANOS = TimeUnit.SECONDS.toNanos(1);

    private static SecretFile ofProcess;

    private final String path;
    private List<byte[]> secrets = Collections.emptyList();
    private byte[] content;
    private String failure;
    private long readAt;

    private SecretFile(String path) {
        this.path = path;
    }

    /**
     * The one that all providers of this server share: ZooKeeper makes a new provider whenever it reloads its
     * certificates, and that one must know the last good secrets.
     */
    static synchronized SecretFile ofProcess() {
        if (ofProcess == null) {
            ofProcess = new SecretFile(System.getProperty(PROPERTY, System.getProperty(ZOO_CFG_PROPERTY)));
            ofProcess.latest();
        }
        return ofProcess;
    }

    /** The secrets as they were in the file at most a second ago. */
    synchronized List<byte[]> recent() {
        return System.nanoTime() - readAt < FRESH_NANOS ? secrets : latest();
    }

    /**
     * The secrets as they are in the file now. To be asked for when a recent one doesn't fit: the sender loses its
     * connection by it, so that reading a small file is the least of what a bad assertion costs.
     */
    synchronized List<byte[]> latest() {
        refresh();
        readAt = System.nanoTime();
        return secrets;
    }

    synchronized boolean isEmpty() {
        return secrets.isEmpty();
    }

    private void refresh() {
        try {
            byte[] found = read();
            if (Arrays.equals(found, content)) {
                recovered();
                return;
            }
            secrets = parse(found);
            content = found;
            failure = null;
            LOG.info("Read {} secret(s) for x509 assertions from {}", secrets.size(), path);
        } catch (IOException | InvalidPathException | Unusable e) {
            failed(e instanceof Unusable ? e.getMessage() : "it can't be read (" + e.getClass().getSimpleName() + ")");
        }
    }

    private void recovered() {
        if (failure != null) {
            failure = null;
            LOG.info("The secrets in {} are again those in use", path);
        }
    }

    // Once per kind of failure, not once per second.
    private void failed(String reason) {
        if (reason.equals(failure)) {
            return;
        }
        failure = reason;
        LOG.error("The file of secrets for x509 assertions, {}, is not usable: {}. {}", path, reason, secrets.isEmpty()
                ? "Every assertion is refused until it is."
                : "The secrets read before stay in use.");
    }

    private byte[] read() throws IOException, Unusable {
        if (path == null) {
            throw new Unusable("neither the system property " + PROPERTY + " nor a line of that name in zoo.cfg is there");
        }
        Path file = Paths.get(path);
        if (!Files.isRegularFile(file)) {
            throw new Unusable("there is no such file");
        }
        ByteBuffer buffer = ByteBuffer.allocate(MAX_FILE + 1);
        try (InputStream in = Files.newInputStream(file)) {
            int count;
            while (buffer.hasRemaining()
                    && (count = in.read(buffer.array(), buffer.position(), buffer.remaining())) >= 0) {
                buffer.position(buffer.position() + count);
            }
        }
        if (!buffer.hasRemaining()) {
            throw new Unusable("it is longer than " + MAX_FILE + " bytes");
        }
        return Arrays.copyOf(buffer.array(), buffer.position());
    }

    private static List<byte[]> parse(byte[] file) throws Unusable {
        List<byte[]> secrets = new ArrayList<>();
        int number = 0;
        for (int start = 0; start <= file.length; ) {
            int end = start;
            while (end < file.length && file[end] != '\n') {
                end++;
            }
            number++;
            byte[] secret = trim(file, start, end);
            if (!isText(secret)) {
                throw new Unusable("line " + number + " is not plain text in UTF-8 without a byte order mark");
            }
            if (secret.length > 0 && secret[0] != '#') {
                add(secrets, secret, number);
            }
            start = end + 1;
        }
        if (secrets.isEmpty()) {
            throw new Unusable("no secret is in it");
        }
        return Collections.unmodifiableList(secrets);
    }

    private static void add(List<byte[]> secrets, byte[] secret, int number) throws Unusable {
        if (secret.length < MIN_SECRET) {
            throw new Unusable("the secret in line " + number + " has fewer than " + MIN_SECRET + " bytes");
        }
        for (byte[] other : secrets) {
            if (Arrays.equals(other, secret)) {
                throw new Unusable("line " + number + " repeats a secret");
            }
        }
        if (secrets.size() == MAX_SECRETS) {
            throw new Unusable("there are more than " + MAX_SECRETS + " secrets");
        }
        secrets.add(secret);
    }

    private static byte[] trim(byte[] file, int start, int end) {
        while (start < end && isSpace(file[start])) {
            start++;
        }
        while (end > start && isSpace(file[end - 1])) {
            end--;
        }
        return Arrays.copyOfRange(file, start, end);
    }

    private static boolean isSpace(byte b) {
        return b == ' ' || b == '\t' || b == '\n' || b == '\f' || b == '\r';
    }

    private static boolean isText(byte[] line) {
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(line)).toString();
            return text.chars().noneMatch(c -> c == '\ufeff' || (Character.isISOControl(c) && c != '\t'));
        } catch (CharacterCodingException e) {
            return false;
        }
    }

    /** Why the file can't be used, without a word of what it says. */
    private static final class Unusable extends Exception {
        private static final long serialVersionUID = 1L;

        Unusable(String reason) {
            super(reason, null, false, false);
        }
    }
}
