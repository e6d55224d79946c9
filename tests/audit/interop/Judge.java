import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;

/** Judges signed checkpoints with Java's own signatures: lines `key vkey`, `note base64`. */
public final class Judge {
    private static final byte[] ED25519 = HexFormat.of().parseHex("302a300506032b6570032100");

    private record Key(String name, byte[] id, int type, PublicKey key) {
        static Key read(String vkey) throws Exception {
            String[] parts = vkey.split("\\+", 3);
            byte[] data = base64(parts[2]);
            byte[] body = Arrays.copyOfRange(data, 1, data.length);
            byte[] spki = data[0] == 2 ? body : join(ED25519, body);
            byte[] named = data[0] == 2 ? spki : join((parts[0] + "\n").getBytes(StandardCharsets.UTF_8), data);
            byte[] id = Arrays.copyOf(MessageDigest.getInstance("SHA-256").digest(named), 4);
            check(HexFormat.of().formatHex(id).equals(parts[1]), "id of another key");
            KeyFactory made = KeyFactory.getInstance(data[0] == 2 ? "EC" : "Ed25519");
            return new Key(parts[0], id, data[0], made.generatePublic(new X509EncodedKeySpec(spki)));
        }

        boolean signed(byte[] text, byte[] data) throws Exception {
            Signature verifier = Signature.getInstance(type == 2 ? "SHA256withECDSA" : "Ed25519");
            verifier.initVerify(key);
            if (type == 4) {
                check(data.length == 72, "cosignature is cut");
                BigInteger at = new BigInteger(1, Arrays.copyOf(data, 8));
                String head = "cosignature/v1\ntime " + at + "\n";
                verifier.update(head.getBytes(StandardCharsets.US_ASCII));
                data = Arrays.copyOfRange(data, 8, 72);
            }
            verifier.update(text);
            return verifier.verify(data);
        }
    }

    public static void main(String[] args) throws Exception {
        List<Key> keys = new ArrayList<>();
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line; (line = input.readLine()) != null;) {
            String[] words = line.split(" ", 2);
            if (words[0].equals("key")) {
                keys.add(Key.read(words[1]));
                continue;
            }
            try {
                open(base64(words[1]), keys);
                System.out.println("accepted");
            } catch (Exception error) {
                System.out.println("refused: " + String.valueOf(error).replace("\n", " "));
            }
        }
    }

    private static void open(byte[] data, List<Key> keys) throws Exception {
        String note = StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
            .decode(ByteBuffer.wrap(data)).toString();
        int cut = note.lastIndexOf("\n\n");
        check(cut >= 0 && note.endsWith("\n"), "not a note");
        byte[] text = note.substring(0, cut + 1).getBytes(StandardCharsets.UTF_8);
        String[] lines = note.substring(cut + 2, note.length() - 1).split("\n", -1);
        for (Key key : keys) {
            boolean signed = false;
            for (String line : lines) {
                String[] words = line.split(" ", -1);
                check(words.length == 3 && words[0].equals("\u2014"), "not a signature line");
                byte[] signature = base64(words[2]);
                if (words[1].equals(key.name) && Arrays.equals(Arrays.copyOf(signature, 4), key.id)) {
                    byte[] own = Arrays.copyOfRange(signature, 4, signature.length);
                    check(key.signed(text, own), "false signature");
                    signed = true;
                }
            }
            check(signed, "not signed by each key");
        }
        String[] head = new String(text, StandardCharsets.UTF_8).split("\n", -1);
        check(head.length == 4 && head[0].equals(keys.get(0).name) && head[3].isEmpty(), "origin");
        check(new BigInteger(head[1]).toString().equals(head[1]), "size");
        check(base64(head[2]).length == 32, "root");
    }

    private static byte[] base64(String text) {
        byte[] data = Base64.getDecoder().decode(text);
        check(Base64.getEncoder().encodeToString(data).equals(text), "not base64");
        return data;
    }

    private static byte[] join(byte[] first, byte[] second) {
        byte[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    private static void check(boolean ok, String why) {
        if (!ok) {
            throw new IllegalArgumentException(why);
        }
    }
}
