"""Drawn scenes: each takes a random generator and answers a function from seconds to one frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 320, 180
Frame = npt.NDArray[np.uint8]
Scene = Callable[[float], Frame]
"""Seconds from the start -> (180, 320, 3) uint8 RGB."""

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
_U, _V = _X / WIDTH, _Y / HEIGHT


def _colour(*rgb: float) -> npt.NDArray[np.float32]:
    return np.array(rgb, dtype=np.float32)


def _blend(low: npt.ArrayLike, high: npt.ArrayLike, t: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    mixed = np.asarray(low) * (1 - t[..., None]) + np.asarray(high) * t[..., None]
    return mixed.astype(np.float32)


def _frame(picture: npt.NDArray[np.float32]) -> Frame:
    return picture.clip(0, 255).astype(np.uint8)


def sea(rng: np.random.Generator) -> Scene:
    """Waves below a sky, with a low sun."""
    horizon = rng.uniform(0.35, 0.55)
    sun_x, phase = rng.uniform(0.2, 0.8), rng.uniform(0, 6)
    sky_low, sky_high = _colour(250, 190, 130) * rng.uniform(0.8, 1.0), _colour(70, 120, 190)
    water = _colour(15, 70, 120) * rng.uniform(0.8, 1.3)
    depth = np.clip((_V - horizon) / (1 - horizon), 1e-3, 1)

    def draw(t: float) -> Frame:
        wave = np.sin(_U * 25 / (depth + 0.2) + phase + 2.2 * t) * np.sin(60 * np.sqrt(depth) - 3 * t)
        glitter = np.exp(-((_U - sun_x) ** 2) / (0.01 + 0.03 * depth)) * np.clip(wave, 0, 1)
        lower = water + 45 * wave[..., None] * depth[..., None] + glitter[..., None] * _colour(230, 170, 100)
        upper = _blend(sky_high, sky_low, np.clip(_V / horizon, 0, 1))
        upper = upper + 120 * np.exp(-((_U - sun_x) ** 2 + ((_V - horizon + 0.08) * 0.6) ** 2) / 0.002)[..., None]
        return _frame(np.where((horizon < _V)[..., None], lower, upper))

    return draw


def city(rng: np.random.Generator) -> Scene:
    """A skyline at night: lit windows, and headlights that pass below."""
    picture = _blend(_colour(8, 8, 25), _colour(45, 30, 60), _V).copy()
    x = 0
    while x < WIDTH:
        width, top = int(rng.integers(16, 40)), int(rng.integers(30, 110))
        picture[top:160, x : x + width] = rng.uniform(15, 40) * _colour(0.8, 0.9, 1.2)
        for row in range(top + 4, 156, 8):
            for column in range(x + 3, x + width - 4, 7):
                if column + 3 < WIDTH and rng.uniform() < 0.55:
                    picture[row : row + 4, column : column + 3] = _colour(255, 220, 120) * rng.uniform(0.6, 1.0)
        x += width + int(rng.integers(0, 5))
    picture[160:] = 22
    cars = rng.uniform([0, -90, 165], [WIDTH, 90, 176], (14, 3))

    def draw(t: float) -> Frame:
        frame = picture.copy()
        for start, speed, y in cars:
            at, light = int(start + speed * t) % WIDTH, _colour(255, 240, 200) if speed > 0 else _colour(255, 30, 20)
            frame[int(y) : int(y) + 3, at : at + 7] = light
        return _frame(frame)

    return draw


def balls(rng: np.random.Generator) -> Scene:
    """Coloured balls that bounce before a bright wall."""
    wall = _blend(_colour(235, 240, 250), _colour(190, 215, 240), _V) * rng.uniform(0.9, 1.0)
    count = int(rng.integers(5, 9))
    radius = rng.uniform(12, 26, count)
    colours = rng.uniform(40, 255, (count, 3)) * np.eye(3)[rng.integers(0, 3, count)].clip(0.25)
    start, speed = rng.uniform([0, 0], [WIDTH, HEIGHT], (count, 2)), rng.uniform(-120, 120, (count, 2))

    def draw(t: float) -> Frame:
        frame = wall.copy()
        for r, colour, position, velocity in zip(radius, colours, start, speed, strict=True):
            room = np.array([WIDTH, HEIGHT]) - 2 * r
            x, y = r + room - np.abs((position + velocity * t) % (2 * room) - room)
            away = np.hypot(_X - x, _Y - y) / r
            shade = np.clip(1.2 - np.hypot(_X - x + r / 3, _Y - y + r / 3) / (1.6 * r), 0.25, 1.2)
            frame = np.where((away < 1)[..., None], colour * shade[..., None], frame)
        return _frame(frame)

    return draw


def forest(rng: np.random.Generator) -> Scene:
    """Trunks and leaves that pass by at different speeds."""
    layers = [
        (
            rng.uniform(0, WIDTH * 2, 9 + 4 * depth),
            4 + 5 * depth,
            14 + 22 * depth,
            _colour(28, 60, 22) * (1.7 - 0.35 * depth),
        )
        for depth in range(4)
    ]
    leaves = rng.normal(size=(HEIGHT, WIDTH * 2)).astype(np.float32)
    for _ in range(3):
        leaves = (leaves + np.roll(leaves, 1, 0) + np.roll(leaves, 1, 1) + np.roll(leaves, -1, 0)) / 2.4
    ground = _blend(_colour(150, 190, 120), _colour(60, 85, 35), _V) * rng.uniform(0.85, 1.1)

    def draw(t: float) -> Frame:
        frame = ground.copy()
        for trunks, width, speed, colour in layers:
            for x in trunks:
                at = int(x - speed * t) % (2 * WIDTH)
                frame[: 120 + 3 * width, at : at + width] = colour
        shift = int(30 * t)
        crown = np.roll(leaves, -shift, axis=1)[:, :WIDTH]
        cover = np.clip((0.55 - _V) * 3 + crown * 0.8, 0, 1)
        green = _colour(40, 110, 35) * (1 + 0.5 * crown[..., None])
        return _frame(frame * (1 - cover[..., None]) + green * cover[..., None])

    return draw


def floor(rng: np.random.Generator) -> Scene:
    """A chequered floor below the camera that turns."""
    dark, light = rng.uniform(0, 70, 3), rng.uniform(190, 255, 3)
    speed, size = rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.5)
    sky = _blend(_colour(30, 30, 40), _colour(120, 120, 140), _V)
    distance = 0.6 / np.clip(_V - 0.35, 0.01, 1)

    def draw(t: float) -> Frame:
        angle = speed * t
        x, z = (_U - 0.5) * 2 * distance, distance + t
        u, w = x * np.cos(angle) - z * np.sin(angle), x * np.sin(angle) + z * np.cos(angle)
        odd = ((np.floor(u / size) + np.floor(w / size)) % 2)[..., None]
        tiles = np.where(odd > 0, light, dark) * np.clip(1.6 / distance, 0.15, 1)[..., None]
        return _frame(np.where((_V > 0.37)[..., None], tiles, sky).astype(np.float32))

    return draw


def fire(rng: np.random.Generator) -> Scene:
    """Flames: waves of heat that rise and fade."""
    waves = rng.uniform([8, 4, 0, 3], [30, 14, 6.28, 9], (7, 4))
    height = rng.uniform(0.9, 1.3)

    def draw(t: float) -> Frame:
        noise = sum(
            np.sin(fx * _U + np.sin(fy * _V + 2 * t) + p + 0.3 * fx * t) * np.sin(fy * _V + s * t)
            for fx, fy, p, s in waves
        )
        heat = np.clip(height * (_V**1.5) + 0.10 * np.asarray(noise) - 0.25 * np.abs(_U - 0.5), 0, 1).astype(np.float32)
        return _frame(np.stack([heat * 520, heat**2 * 330, heat**4 * 200], axis=-1))

    return draw


SCENES: Mapping[str, Callable[[np.random.Generator], Scene]] = {
    "sea": sea,
    "city": city,
    "balls": balls,
    "forest": forest,
    "floor": floor,
    "fire": fire,
}
