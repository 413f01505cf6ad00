// An organ of sines for the tests: it is late and says so, and keeps its controllers over a reset, as many synthesisers do.

#include "DistrhoPlugin.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

START_NAMESPACE_DISTRHO

class LateOrgan : public Plugin
{
    static constexpr uint32_t kLatency = 100;

    enum { kOctave, kLevel, kWidth, kCount };

    float settings[kCount] = {0.0f, 0.5f, 0.5f};
    float volume = 1.0f;  // of controller 7
    float bend = 0.0f;    // semitones
    float velocity[128] = {};
    double phase[128] = {};
    float late[2][kLatency] = {};
    uint32_t place = 0;

public:
    LateOrgan() : Plugin(kCount, 0, 0) { setLatency(kLatency); }

protected:
    const char* getLabel() const override { return "LateOrgan"; }
    const char* getMaker() const override { return "blackbox-grad"; }
    const char* getLicense() const override { return "MIT"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('L', 't', 'O', 'g'); }

    void initParameter(uint32_t index, Parameter& parameter) override
    {
        static const char* const names[kCount] = {"Octave", "Level", "Width"};
        static const char* const symbols[kCount] = {"octave", "level", "width"};
        parameter.hints = kParameterIsAutomatable | (index == kOctave ? kParameterIsBoolean : 0);
        parameter.name = names[index];
        parameter.symbol = symbols[index];
        parameter.ranges.min = 0.0f;
        parameter.ranges.max = 1.0f;
        parameter.ranges.def = index == kOctave ? 0.0f : 0.5f;
    }

    float getParameterValue(uint32_t index) const override { return settings[index]; }
    void setParameterValue(uint32_t index, float value) override { settings[index] = value; }

    void activate() override
    {
        std::memset(velocity, 0, sizeof(velocity));
        std::memset(phase, 0, sizeof(phase));
        std::memset(late, 0, sizeof(late));
        place = 0;
    }

    void take(const MidiEvent& event)
    {
        const uint8_t status = event.data[0] & 0xF0, first = event.data[1], second = event.data[2];
        if (status == 0x90)
        {
            velocity[first] = second / 127.0f;
            phase[first] = 0.0;
        }
        else if (status == 0x80)
            velocity[first] = 0.0f;
        else if (status == 0xB0 && first == 7)
            volume = second / 127.0f;
        else if (status == 0xE0)
            bend = 2.0f * ((first | second << 7) - 8192) / 8192.0f;
    }

    void run(const float**, float** outputs, uint32_t frames, const MidiEvent* events, uint32_t count) override
    {
        // in VST3, DPF puts controllers behind notes
        std::vector<MidiEvent> ordered(events, events + count);
        std::stable_sort(ordered.begin(), ordered.end(),
                         [](const MidiEvent& a, const MidiEvent& b) { return a.frame < b.frame; });
        auto next = ordered.begin();
        for (uint32_t i = 0; i < frames; ++i)
        {
            for (; next != ordered.end() && next->frame <= i; ++next)
                take(*next);
            double sum = 0.0;
            for (int pitch = 0; pitch < 128; ++pitch)
            {
                if (velocity[pitch] == 0.0f)
                    continue;
                sum += velocity[pitch] * std::cos(2.0 * M_PI * phase[pitch]);
                phase[pitch] += 440.0 * std::exp2((pitch - 69 + bend) / 12.0 + (settings[kOctave] > 0.5f)) / getSampleRate();
            }
            const float sound = 0.25f * volume * settings[kLevel] * float(sum);
            const float sides[2] = {sound, sound * (1.0f - settings[kWidth])};
            for (int side = 0; side < 2; ++side)
            {
                outputs[side][i] = late[side][place];
                late[side][place] = sides[side];
            }
            place = (place + 1) % kLatency;
        }
    }
};

Plugin* createPlugin() { return new LateOrgan(); }

END_NAMESPACE_DISTRHO
