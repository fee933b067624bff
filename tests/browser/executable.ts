/** The browser that is here: CHROMIUM names it where it is in no usual place. */

const USUAL_PATHS = ["/usr/bin/chromium", "/usr/bin/google-chrome"];

/** Its path; `undefined` if there is none. */
export const executablePath = Deno.env.get("CHROMIUM") ??
  USUAL_PATHS.find(isFile);

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
