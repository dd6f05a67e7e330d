"""Generated pictures that an encoder is trained on: nothing that anyone else made.

Structure and variety matter more than realism (Baradad et al. 2021, arXiv:2106.05963; Shaders-21k, Baradad et al. 2022,
arXiv:2211.16412). A program is a scene with fixed shapes, colours and textures; each view renders it again with another
pose, light and background, so that a network can learn what stays the same. Needs OpenCV: the `train` extra.

canvas, colour                          coordinates, palettes
noise, voronoi, attractors, bank        fields that textures are cut from
texture, outline, bodies                what scenes are made of
objects, leaves, surfaces, landscapes   the families
blends, warps                           families made of other pictures
finish, program, sheet                  camera; number -> picture; contact sheet
"""

from vidrec.model.pictures.program import SIDE, render

__all__ = ["SIDE", "render"]
