import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.stream.Collectors;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * HL7's own validator, as HAPI packages it: <code>java -cp 'JARS/*' Validate.java</code>. A resource a line on stdin, a verdict a
 * line on stdout, as tests/fhir/README.md says. Nothing is asked of a network: what R4's own definitions do not have is not known.
 */
public class Validate {
    public static void main(String[] arguments) throws Exception {
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err); // the validator's own words are no verdicts
        FhirContext context = FhirContext.forR4();
        var support = new ValidationSupportChain(
                new DefaultProfileValidationSupport(context),
                new InMemoryTerminologyServerValidationSupport(context),
                new CommonCodeSystemsTerminologyService(context));
        var instance = new FhirInstanceValidator(support);
        instance.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
        FhirValidator validator = context.newValidator().registerValidatorModule(instance);
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = input.readLine()) != null) {
            if (line.isBlank()) {
                continue;
            }
            String issues;
            try {
                issues = validator.validateWithResult(line).getMessages().stream()
                        .filter(message -> message.getSeverity() != ResultSeverityEnum.INFORMATION)
                        .map(Validate::issue)
                        .collect(Collectors.joining(","));
            } catch (RuntimeException error) { // it throws where it cannot parse
                issues = issue("error", "", String.valueOf(error.getMessage()));
            }
            out.print("{\"issues\":[" + issues + "]}\n");
            out.flush();
        }
    }

    private static String issue(SingleValidationMessage message) {
        String place = message.getLocationString() == null ? "" : message.getLocationString();
        place = place.replaceAll("/\\*.*?\\*/", ""); // in a bundle it names the resource in a comment
        return issue(message.getSeverity().getCode(), place, String.valueOf(message.getMessage()));
    }

    private static String issue(String severity, String location, String text) {
        return "{\"severity\":" + json(severity) + ",\"location\":" + json(location) + ",\"text\":" + json(text) + "}";
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
