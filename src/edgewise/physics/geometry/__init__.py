"""Domains of differential equations, with named parts of their boundaries and points spread evenly over both."""

from edgewise.physics.geometry.base import Geometry
from edgewise.physics.geometry.combined import Difference, Union
from edgewise.physics.geometry.grading import graded
from edgewise.physics.geometry.polygon import Polygon
from edgewise.physics.geometry.shapes import Box, Disk, Interval
from edgewise.physics.geometry.timespace import TimeSpace

__all__ = ["Geometry", "Interval", "Box", "Disk", "Polygon", "TimeSpace", "Union", "Difference", "graded"]
