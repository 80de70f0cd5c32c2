"""Pictures to H.264 and JPEG."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sandbox.screen import Picture, Rect, Size
from streaming.encode import H264Encoder, JpegEncoder, codec_string, cover
from streaming.testing import Decoder, psnr

SIZE = Size(640, 360)
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 64, 200), (17, 150, 90)]


def blank(size: Size = SIZE) -> Picture:
    """A white picture."""
    return np.full((size.height, size.width, 4), 255, np.uint8)


def text(seed: int) -> Picture:
    """A page of coloured words."""
    image = Image.new("RGB", (SIZE.width, SIZE.height), "white")
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(seed)
    for line in range(20):
        for word in range(9):
            colour = tuple(rng.integers(0, 200, 3).tolist()) if rng.random() < 0.2 else (34, 34, 34)
            draw.text((8 + word * 70, 4 + line * 18), "".join(chr(c) for c in rng.integers(97, 123, 8)), fill=colour)
    picture = blank()
    picture[:, :, :3] = np.asarray(image)[:, :, ::-1]
    return picture


@pytest.mark.parametrize("full", [True, False])
def test_key_frames_come_on_request(full: bool) -> None:
    """The first picture is a key frame, later ones only when asked for, and decoding can start at either."""
    encoder, picture, whole = H264Encoder(SIZE, full_colour=full), text(1), (0, SIZE.height)

    made = [encoder.encode(picture, whole, key=key, still=False) for key in (False, False, True, False)]

    assert [one.key for one in made] == [True, False, True, False]
    decoder = Decoder()
    decoder.decode(made[2].data)
    decoder.decode(made[3].data)


@pytest.mark.parametrize("full", [True, False])
def test_colours_are_right(full: bool) -> None:
    """Flat colours come back within three levels."""
    encoder, decoder, picture = H264Encoder(SIZE, full_colour=full), Decoder(), blank()
    for number, colour in enumerate(COLOURS):
        picture[:, number * 80 : number * 80 + 80, :3] = colour[::-1]

    shown = decoder.decode(encoder.encode(picture, (0, SIZE.height), key=False, still=False).data)

    for number, colour in enumerate(COLOURS):
        got = shown[180, number * 80 + 40].astype(int)
        assert np.abs(got - colour).max() <= 3, (colour, got)


def test_coloured_text_is_sharp_with_its_first_picture() -> None:
    """4:4:4 shows coloured text at 45 dB at once, also after everything changed."""
    encoder, decoder = H264Encoder(SIZE, full_colour=True), Decoder()
    decoder.decode(encoder.encode(text(1), (0, SIZE.height), key=False, still=False).data)

    shown = decoder.decode(encoder.encode(text(2), (0, SIZE.height), key=False, still=False).data)

    assert psnr(shown, text(2)) >= 45


def test_only_the_changed_rows_are_converted() -> None:
    """What lies outside the rows that were named stays as it was shown; odd rows are not lost."""
    encoder, decoder, picture = H264Encoder(SIZE, full_colour=False), Decoder(), blank()
    decoder.decode(encoder.encode(picture, (0, SIZE.height), key=False, still=False).data)
    picture[101:103, :, :3] = 0
    picture[301:303, :, :3] = 0

    shown = decoder.decode(encoder.encode(picture, (101, 103), key=False, still=False).data)

    assert shown[101:103].max() < 8
    assert shown[301:303].min() > 247


def test_a_still_picture_costs_almost_nothing() -> None:
    """Repetitions of the same picture soon take less than 100 bytes each."""
    encoder = H264Encoder(SIZE, full_colour=True)
    encoder.encode(text(1), (0, SIZE.height), key=False, still=False)

    sizes = [len(encoder.encode(text(1), None, key=False, still=True).data) for _ in range(6)]

    assert max(sizes[2:]) < 100


def test_a_cap_bounds_the_rate_without_a_key_frame() -> None:
    """Under a cap a new page takes fewer bytes at once and sharpens over the next pictures."""
    encoder, decoder = H264Encoder(SIZE, full_colour=True), Decoder()
    decoder.decode(encoder.encode(text(1), (0, SIZE.height), key=False, still=False).data)
    free = len(encoder.encode(text(2), (0, SIZE.height), key=False, still=False).data)
    encoder = H264Encoder(SIZE, full_colour=True)
    decoder = Decoder()
    decoder.decode(encoder.encode(text(1), (0, SIZE.height), key=False, still=False).data)

    encoder.cap(2_000_000)
    made = [
        encoder.encode(text(2), (0, SIZE.height) if turn == 0 else None, key=False, still=turn > 0)
        for turn in range(40)
    ]
    shown = [psnr(decoder.decode(one.data), text(2)) for one in made]

    assert len(made[0].data) < free / 2
    assert not any(one.key for one in made)
    assert shown[-1] > shown[0] + 5


def test_the_codec_is_named_from_the_stream() -> None:
    """The codec string is what the sequence parameter set says, profile first."""
    full = H264Encoder(SIZE, full_colour=True).encode(blank(), (0, 360), key=False, still=False)
    plain = H264Encoder(SIZE, full_colour=False).encode(blank(), (0, 360), key=False, still=False)

    assert full.codec.startswith("avc1.F400")
    assert plain.codec.startswith("avc1.42C0")
    assert codec_string(b"") == "avc1.42E01F"


def test_masks_are_cut_to_the_picture() -> None:
    """A mask that reaches over the edges covers what lies inside and nothing else."""
    picture = blank()
    cover(picture, [Rect(-10, -10, 20, 20), Rect(630, 350, 100, 100), Rect(900, 10, 5, 5)])

    assert (picture[:10, :10] == 0x80).all()
    assert (picture[350:, 630:] == 0x80).all()
    assert (picture[10:350] == 255).all()


def test_jpeg_rests_finer_than_it_moves() -> None:
    """A JPEG of a resting picture is sharper than one of a moving picture."""
    encoder = JpegEncoder(SIZE)

    def quality(still: bool) -> float:
        data = encoder.encode(text(1), (0, 360), key=False, still=still).data
        return psnr(np.asarray(Image.open(io.BytesIO(data))), text(1))

    assert quality(still=True) > quality(still=False) + 3
