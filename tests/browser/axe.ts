/** What axe-core finds in a page. */
import axe from "axe-core";
import type { Page } from "puppeteer-core";

/** What axe-core finds in the page: rules, and what breaks them. */
export async function findings(page: Page): Promise<string[]> {
  if (!await page.evaluate(() => "axe" in globalThis)) {
    await page.evaluate(axe.source);
  }
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run()
  );
  return violations.map(({ id, nodes }) =>
    `${id}: ${nodes.map(({ html }) => html).join(" ")}`
  );
}

/** Runs a check in both languages, light and dark. */
export async function inAllLooks(
  page: Page,
  check: (look: string) => Promise<void>,
) {
  for (const language of ["en", "zh"]) {
    for (const mode of ["light", "dark"]) {
      await check(`${language} ${mode}`);
      await page.click("#theme");
    }
    await page.click("#language");
  }
}
