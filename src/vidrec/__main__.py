"""`python -m vidrec`"""

from vidrec.cli import main

main()
