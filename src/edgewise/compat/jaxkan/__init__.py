"""jaxKAN's spelling, translated to ours: write ``edgewise.compat.jaxkan`` where a program imports ``jaxkan``.

Names, defaults, parameter shapes and random draws are those of jaxKAN 0.3.7 (Rigas and Papachristou,
https://github.com/srigas/jaxkan); the computing is done by :class:`edgewise.nn.KANLayer`.
"""
