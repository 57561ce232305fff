"""The people of the waiting lines: short common first and last names, chosen by us."""

from __future__ import annotations

FIRST_NAMES: tuple[str, ...] = tuple(
    """
    Alex Alan Alice Amy Andy Anna Arthur Barbara Beth Bill Bob Brad Brian Bruce Carl Carol Charles Chris
    Claire Colin Craig Dan David Debra Diana Don Derek Edith Edward Emily Emma Eric Ethan Ella Fiona Frank
    Fred Gary Gavin George Gina Grace Greg Hannah Harold Heather Helen Henry Holly Ian Irene Isaac Jacob
    Jake Jane Jeff Jill Jerry Jim Joan Joe John Josh Judy Julia Justin Karen Kate Keith Kelly Kevin Kim Kyle
    Laura Lily Linda Lisa Louis Lucy Luke Marcus Maria Mary Matt Max Megan Mike Molly Nancy Nick Nora Oliver
    Olivia Oscar Patrick Paul Peter Phil Rachel Ralph Ray Rebecca Rita Robert Ron Rosa Ruth Ryan Sam Sandra
    Sara Scott Sean Simon Sophie Steve Susan Tim Todd Tom Tony Victor Wendy William Zoe
    """.split()  # noqa: SIM905 (a literal would take a line per name)
)

LAST_NAMES: tuple[str, ...] = tuple(
    """
    Adams Allen Archer Bailey Baker Banks Barnes Becker Bell Bennett Berry Bishop Black Blake Bond Bowman
    Boyd Brooks Brown Burke Burns Butler Campbell Carter Castle Chapman Clark Cole Collins Cook Cooper Cox
    Cross Cruz Dale Davis Dawson Dean Diaz Dixon Douglas Drake Duncan Dunn Ellis Evans Ferguson Fisher
    Flores Ford Foster Fox Freeman Garcia Gibson Glass Gomez Graham Grant Gray Green Griffin Hall Hamilton
    Harper Harris Hart Hayes Hill Holmes Hopkins Howard Hudson Hughes Hunt Irwin Jackson Jenkins Jones
    Jordan Keller Kennedy King Knight Lake Lane Lawson Lee Lewis Lloyd Long Lopez Marsh Mason Meyer Miller
    Mills Moore Morgan Morris Murphy Murray Myers Nelson Newman Norton Owens Page Palmer Parker Pearson
    Perez Perry Porter Potter Powell Price Quinn Ramos Reed Reyes Rice Rivera Rogers Ross Russell Sanders
    Shaw Silva Spencer Stone Sullivan Taylor Terry Tucker Turner Walker Ward Watson Webb Wells West White
    Wilson Wood Wright Young
    """.split()  # noqa: SIM905 (a literal would take a line per name)
)


def vocabulary() -> tuple[str, ...]:
    """Return the text pieces of every waiting-line answer, for a tokenizer that gives each one token.

    A last name carries the blank before it, so that a person is two pieces.
    """
    return ('["', '", "', '"]', *FIRST_NAMES, *(f" {name}" for name in LAST_NAMES))
