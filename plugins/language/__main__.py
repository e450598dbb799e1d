"""Entry point of `pulumi-language-python`."""

from plugins.language.host import main

main()
