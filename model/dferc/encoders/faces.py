"""The largest face in a picture, cut out as the small gray image that expression networks are trained on."""

from pathlib import Path

import numpy as np

from dferc.corpus.tables import sha256
from dferc.encoders.optional import optional

CASCADE = "haarcascade_frontalface_default.xml"
SCALE_STEP = 1.1
"""From one size of face to the next [OpenCV's default]."""
SEARCHED = 360
"""Pixels of the shorter side of a picture that faces are looked for in; larger pictures are shrunk, to save time."""


class FaceFinder:
    """OpenCV's Haar cascade for frontal faces, which ships with OpenCV and needs no other weights."""

    def __init__(self, smallest: float, neighbours: int, margin: float, side: int) -> None:
        """Load the cascade.

        Args:
            smallest: side of the smallest face looked for, as a share of the picture's shorter side.
            neighbours: overlapping hits that make a face; the more, the fewer false ones.
            margin: what is cut out around a face on each side, as a share of its own.
            side: pixels of the face that is given.

        Raises:
            UserError: OpenCV is not installed.
        """
        self._cv2 = optional("cv2")
        self._cv2.setNumThreads(1)  # one worker, one core
        path = Path(self._cv2.data.haarcascades) / CASCADE
        self.version = f"cv2 {self._cv2.__version__} {path.stem}"
        self.sha256 = sha256(path)
        self._cascade = self._cv2.CascadeClassifier(str(path))
        self._smallest, self._neighbours, self._margin, self._side = smallest, neighbours, margin, side

    def face(self, rgb: np.ndarray) -> np.ndarray | None:
        """The largest face of a picture [height, width, 3] in gray [side, side] uint8; None where there is none."""
        gray = self._cv2.cvtColor(rgb, self._cv2.COLOR_RGB2GRAY)
        box = self._largest(gray)
        if box is None:
            return None
        left, top, size = box
        border = self._margin * size
        rows = slice(max(0, round(top - border)), round(top + size + border))
        columns = slice(max(0, round(left - border)), round(left + size + border))
        face: np.ndarray = self._cv2.resize(
            gray[rows, columns], (self._side, self._side), interpolation=self._cv2.INTER_AREA
        )
        return face

    def _largest(self, gray: np.ndarray) -> tuple[float, float, float] | None:
        """Left, top and side of the largest face; of equal ones the topmost, then the leftmost."""
        shrink = min(1.0, SEARCHED / min(gray.shape))
        searched = self._cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=self._cv2.INTER_AREA)
        smallest = round(self._smallest * min(searched.shape))
        found = self._cascade.detectMultiScale(
            searched, scaleFactor=SCALE_STEP, minNeighbors=self._neighbours, minSize=(smallest, smallest)
        )
        if not len(found):
            return None
        left, top, size, _ = min(map(tuple, found), key=lambda box: (-box[2], box[1], box[0]))
        return left / shrink, top / shrink, size / shrink
