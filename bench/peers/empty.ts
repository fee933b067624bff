// What it takes Deno to start and to end, with nothing in between.
