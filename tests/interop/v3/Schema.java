import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.xml.XMLConstants;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.validation.SchemaFactory;
import javax.xml.validation.Validator;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.xml.sax.ErrorHandler;
import org.xml.sax.SAXException;
import org.xml.sax.SAXParseException;

/**
 * Validates v3 acknowledgements by HL7's own schema.
 *
 * <pre>
 * java -cp JAR Schema.java      acknowledgements on stdin, `name TAB base64` a line
 * </pre>
 *
 * The schemas are taken out of the jar into the working directory, for a schema includes others by relative paths, which Java's
 * parser does not resolve inside a jar. One JSON object a line on stdout, as tests/interop/README.md says.
 */
public class Schema {
    private static final String FOLDER = "/schema/HL7V3/NE2008";
    private static final String SCHEMA = "multicacheschemas/MCCI_IN000002UV01.xsd";
    private static final String V3 = "urn:hl7-org:v3";

    public static void main(String[] arguments) throws Exception {
        Path schemas = Path.of("schemas").toAbsolutePath();
        unpack(schemas);
        SchemaFactory factory = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI);
        factory.setProperty(XMLConstants.ACCESS_EXTERNAL_SCHEMA, "file"); // nothing from a network
        var schema = factory.newSchema(schemas.resolve(SCHEMA).toFile());
        var documents = DocumentBuilderFactory.newInstance();
        documents.setNamespaceAware(true);
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        String line;
        while ((line = input.readLine()) != null) {
            String[] parts = line.split("\t");
            List<String> faults = new ArrayList<>();
            String answers = "";
            String failed = "";
            try {
                var bytes = new ByteArrayInputStream(Base64.getDecoder().decode(parts[1]));
                Document document = documents.newDocumentBuilder().parse(bytes);
                Validator validator = schema.newValidator();
                validator.setErrorHandler(new Collector(faults));
                validator.validate(new DOMSource(document));
                answers = "{\"code\":" + json(attribute(document, "typeCode", "code")) + ",\"id\":" + json(target(document)) + "}";
            } catch (SAXException error) {
                failed = ",\"failed\":" + json(error.getClass().getSimpleName() + ": " + error.getMessage());
            }
            String found = faults.stream().map(Schema::json).collect(Collectors.joining(","));
            String told = "{\"case\":" + json(parts[0]) + ",\"answers\":[" + answers + "],\"strict\":[" + found + "]" + failed + "}\n";
            System.out.write(told.getBytes(StandardCharsets.UTF_8));
            System.out.flush();
        }
    }

    private static void unpack(Path target) throws Exception {
        URI folder = Schema.class.getResource(FOLDER).toURI();
        try (FileSystem jar = FileSystems.newFileSystem(folder, java.util.Map.of()); Stream<Path> files = Files.walk(jar.getPath(FOLDER))) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Path copy = target.resolve(jar.getPath(FOLDER).relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(copy);
                } else {
                    Files.copy(file, copy);
                }
            }
        }
    }

    /** Of the first element with this name. */
    private static String attribute(Document document, String element, String name) {
        return document.getElementsByTagNameNS(V3, element).item(0) instanceof Element found ? found.getAttribute(name) : "";
    }

    /** What the acknowledgement refers to: root and extension. */
    private static String target(Document document) {
        if (!(document.getElementsByTagNameNS(V3, "targetMessage").item(0) instanceof Element message)) {
            return "";
        }
        return message.getElementsByTagNameNS(V3, "id").item(0) instanceof Element id
                ? id.getAttribute("root") + "^" + id.getAttribute("extension")
                : "";
    }

    private record Collector(List<String> faults) implements ErrorHandler {
        @Override
        public void warning(SAXParseException fault) {
            faults.add(fault.getMessage());
        }

        @Override
        public void error(SAXParseException fault) {
            faults.add(fault.getMessage());
        }

        @Override
        public void fatalError(SAXParseException fault) {
            faults.add(fault.getMessage());
        }
    }

    private static String json(String text) {
        StringBuilder out = new StringBuilder("\"");
        text.chars().forEach(c -> {
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
}
