"""What the encoders of audio formats can hold. libsndfile checks some of it late, and crashes at the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: libsndfile's own limits.
_CHANNELS, _RATE = 1024, 2**31 - 1

#: Bytes that the 32-bit header of a WAV file can announce, less the header itself.
WAV_BYTES = 2**32 - 4096


@dataclass(frozen=True)
class AudioFormat:
    """A format of libsndfile.

    Attributes:
        name: as people know it.
        kind, subtype: libsndfile's names of the format and of the samples.
        channels: the most.
        highest: the highest sample rate, Hz.
        rates: the only sample rates, Hz; any up to `highest` if there are none.
        tens_above: sample rates above this one must be multiples of 10 Hz.
    """

    name: str
    kind: str
    subtype: str
    channels: int = _CHANNELS
    highest: int = _RATE
    rates: tuple[int, ...] = ()
    tens_above: int = _RATE

    def trouble(self, channels: int, sample_rate: float) -> str:
        """Why audio like this does not fit into the format, empty if it fits."""
        if sample_rate != round(sample_rate) or sample_rate < 1:
            return f"a file needs a sample rate of whole Hz, got {sample_rate:g}"
        if not 1 <= channels <= self.channels:
            return f"{self.name} holds 1 to {self.channels} channels, not {channels}"
        if self.rates and sample_rate not in self.rates:
            return f"{self.name} has the sample rates {', '.join(map(str, self.rates))} Hz, not {sample_rate:.10g} Hz"
        if sample_rate > self.highest:
            return f"{self.name} holds at most {self.highest} Hz, not {sample_rate:.10g} Hz"
        if sample_rate > self.tens_above and sample_rate % 10:
            return f"{self.name} needs multiples of 10 Hz above {self.tens_above} Hz, not {sample_rate:.10g} Hz"
        return ""


WAV = AudioFormat("WAV", "WAV", "FLOAT")
#: A bare `FLAC__StreamEncoder` takes only what its streamable subset allows.
FLAC = AudioFormat("FLAC", "FLAC", "PCM_24", channels=8, highest=655_350, tens_above=65_535)
#: For pages.
FLAC_16 = replace(FLAC, subtype="PCM_16")
#: Without a set-up for the rate, libvorbis returns none, and libsndfile goes on with it.
VORBIS = AudioFormat("Ogg Vorbis", "OGG", "VORBIS", channels=255, highest=200_000)
MP3 = AudioFormat(
    "MP3",
    "MP3",
    "MPEG_LAYER_III",
    channels=2,
    highest=48_000,
    rates=(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
)
