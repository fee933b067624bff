import { serves } from "./common.ts";

serves("async.ts");
