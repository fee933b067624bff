import { fills, greet, serves } from "./common.ts";

serves("async.ts");
fills("async.ts", greet);
