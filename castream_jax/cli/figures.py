"""`castream figures grid|scenes [IMAGES…]`: draws the paper's figures, for print."""

from castream_jax.cli.command import run
from castream_jax.explanation.print_figures import FIRST, draw_figure


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    run(
        draw_figure,
        "Draws the paper's figures as PDF and PNG, for print.",
        argv,
        arguments=(
            "grid|scenes [IMAGES…]\n"
            "  grid     input, raw attention, and each attribution for GAP and CA, of images of the config's dataset\n"
            "  scenes   raw attention on MIT Indoor Scenes, whose classes the network has never seen\n"
            "  IMAGES   ids or places in the split, or picture files, folders and quoted globs"
        ),
        switches={"blocks": "the attention of each block of the stream, in place of the last one's"},
        output="where to write, without suffix (default: figures/grid or figures/scenes in the work directory)",
        dataset="where ids and classes are looked up (default: the config's; scenes: mit67)",
        split="of that dataset (default: the config's for evaluation; scenes: test)",
        classes="take the first images of these classes, by name or label: 'corridor,greenhouse'",
        count=f"images of each class (default: {FIRST})",
        methods="attributions (default: the config's; scenes: attention)",
        class_names="a text file with the network's classes, one in each line (default: the names in its dataset)",
    )
