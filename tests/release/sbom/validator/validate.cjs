// Says of each file named whether it is a valid CycloneDX 1.6 document, strictly. Exit code 1 if any is not.
"use strict";

const { readFileSync } = require("node:fs");
const { Spec, Validation } = require("@cyclonedx/cyclonedx-library");

async function main(paths) {
  if (paths.length === 0) {
    throw new Error("name the files to validate");
  }
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  for (const path of paths) {
    const problems = await validator.validate(readFileSync(path, "utf-8"));
    if (problems !== null) {
      process.exitCode = 1;
    }
    console.log(`${path}: ${problems === null ? "valid" : JSON.stringify(problems)}`);
  }
}

main(process.argv.slice(2)).catch((error) => {
  // A validator that cannot run must not look like one that found a fault, and never like one that found none.
  console.error(error);
  process.exitCode = 2;
});
