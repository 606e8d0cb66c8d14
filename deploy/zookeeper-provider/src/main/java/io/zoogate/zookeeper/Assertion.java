package io.zoogate.zookeeper;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.List;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * zoogate's word on who a session's client is.
 *
 * <pre>
 * zoogate1 : base64url(identity) : super or nothing : base64url(MAC)
 * MAC = HMAC-SHA256(secret, "zoogate x509 v1" ‖ 0 ‖ session id, 8 bytes, big-endian ‖ 1 if super, else 0 ‖ identity)
 * </pre>
 *
 * <p>base64url is without padding, and the identity is UTF-8. The session id is not written in it: it is the
 * connection's, so that an assertion is worth nothing anywhere else.
 */
final class Assertion {
    private static final String VERSION = "zoogate1";
    private static final String SUPER = "super";
    private static final byte[] PURPOSE = "zoogate x509 v1\0".getBytes(StandardCharsets.US_ASCII);
    private static final int MAC_BYTES = 32;
    /** More than any certificate's name that a TLS handshake could carry in base64. */
    private static final int MAX_BYTES = 128 * 1024;

    private final byte[] identityBytes;
    private final String identity;
    private final boolean isSuper;
    private final byte[] mac;

    private Assertion(byte[] identityBytes, boolean isSuper, byte[] mac) throws Malformed {
        this.identityBytes = identityBytes;
        this.identity = decodeUtf8(identityBytes);
        this.isSuper = isSuper;
        this.mac = mac;
    }

    /** Reads the data of an auth packet; null is a packet without data. Nothing is verified yet. */
    static Assertion parse(byte[] data) throws Malformed {
        if (data == null || data.length == 0) {
            throw new Malformed("the packet is empty");
        }
        if (data.length > MAX_BYTES) {
            throw new Malformed("the packet is too long");
        }
        String[] parts = new String(data, StandardCharsets.ISO_8859_1).split(":", -1);
        if (!parts[0].equals(VERSION)) {
            throw new Malformed("not an assertion of version " + VERSION);
        }
        if (parts.length != 4) {
            throw new Malformed("not four parts");
        }
        if (!parts[2].isEmpty() && !parts[2].equals(SUPER)) {
            throw new Malformed("the third part is neither empty nor \"" + SUPER + "\"");
        }
        byte[] identity = decodeBase64(parts[1]);
        byte[] mac = decodeBase64(parts[3]);
        if (identity.length == 0 || mac.length != MAC_BYTES) {
            throw new Malformed("the identity is empty or the MAC has the wrong length");
        }
        return new Assertion(identity, parts[2].equals(SUPER), mac);
    }

    String identity() {
        return identity;
    }

    boolean isSuper() {
        return isSuper;
    }

    /** Whether one of the secrets made this assertion for this session. Takes as long whichever of them did. */
    boolean isMadeWith(List<byte[]> secrets, long sessionId) {
        boolean genuine = false;
        for (byte[] secret : secrets) {
            genuine |= MessageDigest.isEqual(expectedMac(secret, sessionId), mac);
        }
        return genuine;
    }

    private byte[] expectedMac(byte[] secret, long sessionId) {
        try {
            Mac hmac = Mac.getInstance("HmacSHA256");
            hmac.init(new SecretKeySpec(secret, "HmacSHA256"));
            hmac.update(PURPOSE);
            hmac.update(ByteBuffer.allocate(Long.BYTES).putLong(sessionId).array());
            hmac.update((byte) (isSuper ? 1 : 0));
            return hmac.doFinal(identityBytes);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java platform has HmacSHA256", e);
        }
    }

    // Java's decoder also takes padding and leftover bits, which would let one assertion be written in several ways.
    private static byte[] decodeBase64(String text) throws Malformed {
        try {
            byte[] decoded = Base64.getUrlDecoder().decode(text);
            if (Base64.getUrlEncoder().withoutPadding().encodeToString(decoded).equals(text)) {
                return decoded;
            }
        } catch (IllegalArgumentException e) {
            // Its message quotes the text.
        }
        throw new Malformed("a part is not base64url without padding");
    }

    private static String decodeUtf8(byte[] bytes) throws Malformed {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw new Malformed("the identity is not UTF-8");
        }
    }

    /** The packet is no assertion. The message never quotes it. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1L;

        Malformed(String reason) {
            super(reason, null, false, false);
        }
    }
}
