"""How much text of a page stands out from what it stands on, by WCAG 2.1, measured for every text that is seen."""

from typing import Any

MEASURE = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const channels = (colour) =>  // what is mixed is said in 0..1
        numbers(colour).map((value, i) => value * (colour.startsWith("color(srgb") && i < 3 ? 255 : 1));
    const luminance = (colour) => {
        const linear = channels(colour).slice(0, 3).map((value) => value / 255)
            .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const backdrop = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = getComputedStyle(each).backgroundColor;
            if ((channels(colour)[3] ?? 1) === 1) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
        if (!text || ["SCRIPT", "STYLE"].includes(element.tagName) || !element.checkVisibility()) continue;
        const style = getComputedStyle(element), size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const pair = [luminance(style.color), luminance(backdrop(element))].sort((a, b) => b - a);
        found.push([text.slice(0, 60), (pair[0] + 0.05) / (pair[1] + 0.05), large ? 3 : 4.5]);
    }
    return found;
}"""


def check_contrasts(page: Any) -> None:
    """Fail with the texts of a page that stand out too little, light or dark, at two widths; symbols are texts too."""
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            found = page.evaluate(MEASURE)
            assert len(found) > 10
            faint = [(text, round(ratio, 2)) for text, ratio, least in found if ratio < least]
            assert not faint, f"{scheme}, {width} pixels: {faint[:5]}"
