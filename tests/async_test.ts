import { serves } from "./server_tests.ts";

serves("async.ts");
