import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.Connection;
import ca.uhn.hl7v2.app.HL7Service;
import ca.uhn.hl7v2.llp.MinLLPReader;
import ca.uhn.hl7v2.llp.MinLLPWriter;
import ca.uhn.hl7v2.llp.MinLowerLayerProtocol;
import ca.uhn.hl7v2.model.AbstractMessage;
import ca.uhn.hl7v2.model.AbstractSegment;
import ca.uhn.hl7v2.model.Composite;
import ca.uhn.hl7v2.model.GenericMessage;
import ca.uhn.hl7v2.model.Group;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.Primitive;
import ca.uhn.hl7v2.model.Segment;
import ca.uhn.hl7v2.model.Structure;
import ca.uhn.hl7v2.model.Type;
import ca.uhn.hl7v2.model.v251.message.ADT_A01;
import ca.uhn.hl7v2.model.v251.message.SIU_S12;
import ca.uhn.hl7v2.protocol.ReceivingApplication;
import ca.uhn.hl7v2.util.Hl7InputStreamMessageIterator;
import ca.uhn.hl7v2.util.Terser;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.stream.Collectors;

/**
 * HAPI HL7v2 as a client and as a parser of acknowledgements.
 *
 * <pre>
 * java Peer.java send APP_PORT DOWN_PORT
 * java Peer.java serve ENCODING            a line for its port, and for each message; MSH-18 decides, whatever ENCODING is
 * java Peer.java parse                     acknowledgements on stdin, `name TAB base64` a line
 * java Peer.java parse-xml                 the same in v2.xml, by DefaultXMLParser
 * </pre>
 *
 * One JSON object a line on stdout, as tests/interop/README.md says.
 */
public class Peer {
    private static final long LIMIT_MS = 30_000;
    private static final int BIG = 1 << 20;

    public static void main(String[] arguments) throws Exception {
        // HAPI's threads are no daemons, and a socket may hang: this ends the process whatever happens.
        Thread watchdog = new Thread(() -> {
            try {
                Thread.sleep(150_000);
            } catch (InterruptedException ignored) {
                return;
            }
            System.err.println("the peer took too long");
            Runtime.getRuntime().halt(3);
        });
        watchdog.setDaemon(true);
        watchdog.start();
        LogManager.getLogManager().reset();
        int status = 0;
        try {
            if (arguments[0].equals("serve")) {
                serve();
            } else if (arguments[0].equals("parse")) {
                parse();
            } else if (arguments[0].equals("parse-xml")) {
                parseXml();
            } else {
                new Peer(Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2])).send();
            }
        } catch (Throwable error) {
            error.printStackTrace();
            status = 1;
        }
        System.out.flush();
        System.exit(status);
    }

    // The server.

    /** Acknowledges each message; one without PID-3 is an error of its application, which HAPI answers by AE. Never ends by itself. */
    private static void serve() throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        HapiContext context = new DefaultHapiContext();
        context.setLowerLayerProtocol(new MinLowerLayerProtocol(true));
        HL7Service server = context.newServer(port, false);
        server.registerApplication("*", "*", new ReceivingApplication<Message>() {
            @Override
            public Message processMessage(Message message, Map<String, Object> about) throws HL7Exception {
                Terser terser = new Terser(message);
                line("{\"id\":" + json(terser.get("MSH-10")) + ",\"name\":" + json(terser.get("PID-5-1"))
                        + ",\"text\":" + json(message.encode()) + "}");
                if (terser.get("PID-3-1") == null) {
                    throw new HL7Exception("no patient identifier");
                }
                try {
                    return message.generateACK();
                } catch (IOException error) {
                    throw new HL7Exception(error);
                }
            }

            @Override
            public boolean canProcess(Message message) {
                return true;
            }
        });
        server.startAndWait();
        line("{\"port\":" + port + "}");
        Thread.sleep(Long.MAX_VALUE);
    }

    /** In UTF-8, whatever the system's encoding is. */
    private static synchronized void line(String json) {
        byte[] bytes = (json + "\n").getBytes(StandardCharsets.UTF_8);
        System.out.write(bytes, 0, bytes.length);
        System.out.flush();
    }

    private final int app;
    private final int down;

    private Peer(int app, int down) {
        this.app = app;
        this.down = down;
    }

    // The client.

    /**
     * A connection with everything that HAPI needs for it: connections of one context to one port are shared. So are the
     * threads of all contexts, and closing one context would end them all, unless it has threads of its own.
     */
    private static final class Client implements AutoCloseable {
        final ExecutorService threads = Executors.newCachedThreadPool();
        final HapiContext context = new DefaultHapiContext(threads);
        final Connection connection;

        Client(int port) throws HL7Exception {
            // `true`: MSH-18 decides the character set.
            context.setLowerLayerProtocol(new MinLowerLayerProtocol(true));
            context.setValidationContext(ValidationContextFactory.defaultValidation());
            connection = context.newClient("127.0.0.1", port, false);
            connection.getInitiator().setTimeout(LIMIT_MS, java.util.concurrent.TimeUnit.MILLISECONDS);
        }

        Message exchange(Message message) throws Exception {
            return connection.getInitiator().sendAndReceive(message);
        }

        @Override
        public void close() throws Exception {
            connection.close();
            context.close();
            threads.shutdownNow();
        }
    }

    private interface Conversation {
        void with(Client client, Case result) throws Exception;
    }

    private void send() throws Exception {
        one("original", adt("H1"));
        one("al-ne", modes(adt("H-al-ne"), "AL", "NE"));
        one("ne-al", modes(adt("H-ne-al"), "NE", "AL"));
        talk("al-al", app, (client, result) -> {
            List<String> unexpected = unexpected();
            result.exchange(client, modes(adt("H-al-al"), "AL", "AL"));
            // What HAPI makes of a second answer is done when the next message has its own.
            client.exchange(adt("H-after-al-al"));
            synchronized (unexpected) {
                result.ignored.addAll(unexpected);
            }
        });
        talk("many", app, (client, result) -> {
            for (int number = 0; number < 200; number++) {
                result.exchange(client, adt("H-M" + number));
            }
        });
        four();
        ahead();
        one("large", note(adt("H-BIG"), "x".repeat(BIG)));
        one("422", nameless(adt("H-422")));
        one("422-enhanced", modes(nameless(adt("H-422E")), "AL", "AL"));
        one("415", siu("H-415"));
        talk("after-422", app, (client, result) -> {
            result.exchange(client, adt("H-X1"));
            result.exchange(client, nameless(adt("H-X2")));
            result.exchange(client, adt("H-X3"));
        });
        talk("down", down, (client, result) -> result.exchange(client, adt("H-DOWN")));
        one("utf-8", charset(nameless(adt("H-U8")), "UNICODE UTF-8"));
        one("latin-1", charset(nameless(adt("H-L1")), "8859/1"));
        Case resend = new Case("resend");
        Message twice = adt("H-R");
        for (int time = 0; time < 2; time++) {
            try (Client client = new Client(app)) {
                resend.exchange(client, twice);
            }
        }
        resend.tell();
        batch();
        talk("split", app, (client, result) -> {
            var messages = new Hl7InputStreamMessageIterator(new StringReader(batchText("H-S", client.context)));
            while (messages.hasNext()) {
                result.exchange(client, messages.next());
            }
        });
    }

    private void one(String name, Message message) throws Exception {
        talk(name, app, (client, result) -> result.exchange(client, message));
    }

    /** One connection; an exception is what HAPI makes of the answer. */
    private static void talk(String name, int port, Conversation conversation) throws Exception {
        Case result = new Case(name);
        try (Client client = new Client(port)) {
            conversation.with(client, result);
        } catch (HL7Exception | java.io.IOException | ca.uhn.hl7v2.llp.LLPException error) {
            result.failed = error.getClass().getSimpleName() + ": " + error.getMessage();
        }
        result.tell();
    }

    private void four() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Future<Case>> parts = new ArrayList<>();
        for (int connection = 0; connection < 4; connection++) {
            String prefix = "H-F" + connection + "-";
            parts.add(threads.submit(() -> {
                Case part = new Case("four");
                try (Client client = new Client(app)) {
                    for (int number = 0; number < 50; number++) {
                        part.exchange(client, adt(prefix + number));
                    }
                }
                return part;
            }));
        }
        Case all = new Case("four");
        for (Future<Case> part : parts) {
            all.add(part.get());
        }
        threads.shutdown();
        all.tell();
    }

    /** Four threads share one connection: HAPI sends their messages ahead, and finds each answer's thread by MSA-2. */
    private void ahead() throws Exception {
        Case all = new Case("ahead");
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try (Client client = new Client(app)) {
            List<Future<Case>> parts = new ArrayList<>();
            for (int thread = 0; thread < 4; thread++) {
                List<Message> messages = new ArrayList<>();
                for (int number = 0; number < 50; number++) {
                    messages.add(adt("H-A" + thread + "-" + number));
                }
                parts.add(threads.submit(() -> {
                    Case part = new Case("ahead");
                    for (Message message : messages) {
                        part.exchange(client, message);
                    }
                    return part;
                }));
            }
            for (Future<Case> part : parts) {
                all.add(part.get());
            }
        }
        threads.shutdown();
        all.tell();
    }

    /** HAPI's initiator sends no batches ("batch processing is unsupported"); its MLLP writer and reader do. */
    private void batch() throws Exception {
        Case result = new Case("batch");
        result.sent.add("H-B");
        try (HapiContext context = new DefaultHapiContext(); Socket socket = new Socket("127.0.0.1", app)) {
            socket.setSoTimeout((int) LIMIT_MS);
            new MinLLPWriter(socket.getOutputStream()).writeMessage(batchText("H-B", context));
            String answer = new MinLLPReader(socket.getInputStream()).getMessage();
            var messages = new Hl7InputStreamMessageIterator(new StringReader(answer));
            while (messages.hasNext()) {
                result.see(messages.next());
            }
        } catch (Exception error) {
            result.failed = error.getClass().getSimpleName() + ": " + error.getMessage();
        }
        result.tell();
    }

    private static List<String> unexpected() {
        List<String> codes = Collections.synchronizedList(new ArrayList<>());
        Logger logger = Logger.getLogger("ca.uhn.hl7v2.app.Receiver");
        logger.setLevel(Level.INFO);
        logger.addHandler(new Handler() {
            @Override
            public void publish(LogRecord record) {
                String text = record.getMessage();
                if (text.startsWith("Unexpected Message Received")) {
                    codes.add(text.split("\rMSA\\|")[1].substring(0, 2));
                }
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        });
        KEPT.add(logger);
        return codes;
    }

    /** java.util.logging holds loggers weakly. */
    private static final List<Logger> KEPT = new ArrayList<>();

    // Messages, built by HAPI's own classes.

    private static Message adt(String id) throws Exception {
        ADT_A01 message = new ADT_A01();
        message.initQuickstart("ADT", "A01", "P");
        message.getEVN().getRecordedDateTime().getTime().setValue("20261122101459");
        return filled(message, id);
    }

    private static Message siu(String id) throws Exception {
        SIU_S12 message = new SIU_S12();
        message.initQuickstart("SIU", "S12", "P");
        return filled(message, id);
    }

    private static Message filled(AbstractMessage message, String id) throws Exception {
        Terser terser = new Terser(message);
        terser.set("/MSH-3", "HAPI");
        terser.set("/MSH-4", "GENHOSP");
        terser.set("/MSH-5", "BRIDGE");
        terser.set("/MSH-6", "CLOUD");
        terser.set("/MSH-10", id);
        terser.set("/.PID-1", "1");
        terser.set("/.PID-3-1", "4711");
        terser.set("/.PID-3-4", "GENHOSP");
        terser.set("/.PID-5-1", "MUSTER");
        terser.set("/.PID-5-2", "ERIKA");
        return message;
    }

    private static Message modes(Message message, String accept, String application) throws HL7Exception {
        Terser terser = new Terser(message);
        terser.set("/MSH-15", accept);
        terser.set("/MSH-16", application);
        return message;
    }

    private static Message nameless(Message message) throws HL7Exception {
        Terser terser = new Terser(message);
        terser.set("/.PID-3-1", "");
        terser.set("/.PID-3-4", "");
        return message;
    }

    private static Message charset(Message message, String name) throws HL7Exception {
        Terser terser = new Terser(message);
        terser.set("/MSH-18", name);
        terser.set("/.PID-5-1", "MÜSTER");
        return message;
    }

    private static Message note(Message message, String text) throws HL7Exception {
        Terser terser = new Terser(message);
        terser.set("/OBX-1", "1");
        terser.set("/OBX-2", "TX");
        terser.set("/OBX-5", text);
        return message;
    }

    private static String batchText(String id, HapiContext context) throws Exception {
        return "BHS|^~\\&|HAPI|GENHOSP|BRIDGE|CLOUD|20261122101500||||" + id + "\r"
                + context.getPipeParser().encode(adt(id + "-1"))
                + context.getPipeParser().encode(adt(id + "-2"))
                + "BTS|2\r";
    }

    // What was seen.

    private static final class Case {
        final String name;
        final List<String> sent = new ArrayList<>();
        final List<String> answers = new ArrayList<>();
        final List<String> ignored = new ArrayList<>();
        final List<String> strict = new ArrayList<>();
        String failed;

        Case(String name) {
            this.name = name;
        }

        void exchange(Client client, Message message) throws Exception {
            sent.add(new Terser(message).get("/MSH-10"));
            see(client.exchange(message));
        }

        void see(Message answer) throws HL7Exception {
            Terser terser = new Terser(answer);
            String members = "\"code\":" + json(terser.get("/MSA-1")) + ",\"id\":" + json(terser.get("/MSA-2"));
            // ERR before 2.5 has one field. Asked for an ERR that is not there, HAPI would make one.
            boolean generic = answer instanceof GenericMessage;
            if (!generic && answer.getVersion().compareTo("2.5") >= 0 && List.of(answer.getNames()).contains("ERR")
                    && answer.getAll("ERR").length > 0) {
                Segment err = (Segment) answer.get("ERR");
                members += ",\"err\":" + array(List.of(encoded(err, 2), encoded(err, 3), encoded(err, 8)));
            }
            answers.add("{" + members + "}");
        }

        private static String encoded(Segment segment, int field) throws HL7Exception {
            return json(segment.getField(field).length == 0 ? "" : segment.getField(field, 0).encode());
        }

        void add(Case part) {
            sent.addAll(part.sent);
            answers.addAll(part.answers);
        }

        void tell() {
            StringBuilder line = new StringBuilder("{\"case\":" + json(name));
            line.append(",\"sent\":").append(strings(sent)).append(",\"answers\":").append(array(answers));
            line.append(",\"ignored\":").append(strings(ignored)).append(",\"strict\":").append(strings(strict));
            if (failed != null) {
                line.append(",\"failed\":").append(json(failed));
            }
            byte[] bytes = line.append("}\n").toString().getBytes(StandardCharsets.UTF_8);
            System.out.write(bytes, 0, bytes.length);
            System.out.flush();
        }
    }

    private static String strings(List<String> texts) {
        return array(texts.stream().map(Peer::json).collect(Collectors.toList()));
    }

    private static String array(List<String> values) {
        return "[" + String.join(",", values) + "]";
    }

    private static String json(String text) {
        StringBuilder out = new StringBuilder("\"");
        (text == null ? "" : text).chars().forEach(c -> {
            if (c == '"' || c == '\\') {
                out.append('\\').append((char) c);
            } else if (c < 0x20) {
                out.append(String.format("\\u%04x", c));
            } else {
                out.append((char) c);
            }
        });
        return out.append('"').toString();
    }

    // The parser.

    private static void parse() throws Exception {
        var context = new DefaultHapiContext(ValidationContextFactory.defaultValidation());
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        String line;
        while ((line = input.readLine()) != null) {
            String[] parts = line.split("\t");
            Case result = new Case(parts[0]);
            try {
                String text = new String(Base64.getDecoder().decode(parts[1]), StandardCharsets.UTF_8);
                Message ack = context.getPipeParser().parse(text);
                result.see(ack);
                if (ack instanceof GenericMessage) {
                    result.strict.add("parsed as a generic message");
                } else {
                    defined((AbstractMessage) ack, result.strict);
                    walk(ack, result.strict);
                }
                // To text again: nothing of it was lost.
                String again = ack.encode();
                if (!again.equals(text)) {
                    result.strict.add("encoded again it is " + again.replace('\r', '\n'));
                }
            } catch (Exception error) {
                result.failed = error.getClass().getSimpleName() + ": " + error.getMessage();
            }
            result.tell();
        }
        context.close();
    }

    /** In v2.xml: every value is where HAPI's own classes have it, for it must be the same in ER7 and in XML again. */
    private static void parseXml() throws Exception {
        var context = new DefaultHapiContext(ValidationContextFactory.defaultValidation());
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        String line;
        while ((line = input.readLine()) != null) {
            String[] parts = line.split("\t");
            Case result = new Case(parts[0]);
            try {
                String text = new String(Base64.getDecoder().decode(parts[1]), StandardCharsets.UTF_8);
                Message ack = context.getXMLParser().parse(text);
                ack.setParser(context.getPipeParser()); // its XML parser encodes whole messages only
                result.see(ack);
                defined((AbstractMessage) ack, result.strict);
                walk(ack, result.strict);
                String again = context.getXMLParser().encode(ack);
                if (!values(again).equals(values(text))) {
                    result.strict.add("encoded again it says " + values(again) + ", not " + values(text));
                }
            } catch (Exception error) {
                result.failed = error.getClass().getSimpleName() + ": " + error.getMessage();
            }
            result.tell();
        }
        context.close();
    }

    /** What stands between the tags, in order. */
    private static String values(String xml) {
        return xml.replaceAll("<[^>]*>", "\n").replaceAll("\\s*\n\\s*", "|");
    }

    private static void defined(AbstractMessage ack, List<String> faults) {
        String structure = ack.getClass().getSimpleName();
        if (!structure.equals("ACK")) {
            faults.add("its structure is " + structure);
        }
        for (String name : ack.getNonStandardNames()) {
            faults.add(name + " has no place in the message");
        }
    }

    /** Beyond HAPI's validation: what its classes know of the standard, and do not check. */
    private static void walk(Group group, List<String> faults) throws HL7Exception {
        for (String name : group.getNames()) {
            if (group.isRequired(name) && group.getAll(name).length == 0) {
                faults.add(name + " is missing");
            }
            for (Structure structure : group.getAll(name)) {
                if (structure instanceof AbstractSegment) {
                    fields((AbstractSegment) structure, faults);
                } else if (structure instanceof Group) {
                    walk((Group) structure, faults);
                }
            }
        }
    }

    private static void extra(Type type, String name, List<String> faults) {
        if (type.getExtraComponents().numComponents() > 0) {
            faults.add(name + " has more components than it may");
        }
        if (type instanceof Composite) {
            for (Type component : ((Composite) type).getComponents()) {
                extra(component, name, faults);
            }
        }
    }

    private static void fields(AbstractSegment segment, List<String> faults) throws HL7Exception {
        int defined = segment.getNames().length;
        for (int number = 1; number <= Math.max(defined, segment.numFields()); number++) {
            String name = segment.getName() + "-" + number;
            Type[] repetitions = segment.getField(number);
            List<String> texts = new ArrayList<>();
            for (Type repetition : repetitions) {
                // MSH-1 and MSH-2 are delimiters, which encode() would escape.
                texts.add(repetition instanceof Primitive ? ((Primitive) repetition).getValue() : repetition.encode());
                extra(repetition, name, faults);
            }
            texts.replaceAll(text -> text == null ? "" : text);
            boolean empty = String.join("", texts).isEmpty();
            if (number > defined) {
                if (!empty) {
                    faults.add(name + " is not defined");
                }
                continue;
            }
            if (segment.isRequired(number) && empty) {
                faults.add(name + " is required");
            }
            int most = segment.getMaxCardinality(number);
            if (most > 0 && repetitions.length > most) {
                faults.add(name + " repeats");
            }
            int longest = segment.getLength(number);
            for (String text : texts) {
                if (longest > 0 && text.length() > longest) {
                    faults.add(name + " has " + text.length() + " characters of " + longest);
                }
            }
        }
    }
}
