/* A training step of a multi-layer perceptron with relu, written by hand for speed.

   Arrays are by feature, eight rows to a vector; rows are taken in tiles that stay in the first cache. The three
   matrix products keep blocks of four by four vectors in registers. Sizes are padded to multiples of four by zeros,
   which stay zero. LAYERS, SIZES, WIDEST and HINGE are given on the command line. */

#include <math.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
#define TILE 16 /* vectors: 128 rows */
#define PAD(n) (((n) + 3) & ~3)

typedef double vec __attribute__((vector_size(8 * LANES)));
typedef long mask __attribute__((vector_size(8 * LANES)));
typedef vec row[TILE];

static const int sizes[LAYERS + 1] = SIZES;
static row outputs[LAYERS][PAD(WIDEST)], adjoints[LAYERS][PAD(WIDEST)];

INLINE vec where(mask m, vec x) { return (vec)(m & (mask)x); }
INLINE vec larger(vec x, vec y) { return (vec)(((x > y) & (mask)x) | (~(x > y) & (mask)y)); }
INLINE vec all(double x) { return x - (vec){}; }

/* z = w x + b, for four outputs and q vectors of rows */
INLINE void forward_block(int n_in, const double *w, const double *b, const row *x, row *z, int v, int q, int hidden)
{
    vec s[4][4];
    int stride = PAD(n_in);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < q; j++) s[i][j] = all(b[i]);
    for (int k = 0; k < n_in; k++)
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < q; j++) s[i][j] += w[i * stride + k] * x[k][v + j];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < q; j++) z[i][v + j] = hidden ? where(s[i][j] > 0, s[i][j]) : s[i][j];
}

static void forward(int n_in, int n_out, const double *w, const double *b, const row *x, row *z, int vectors, int hidden)
{
    for (int o = 0; o < n_out; o += 4) {
        int v = 0;
        for (; v + 4 <= vectors; v += 4) forward_block(n_in, w + o * PAD(n_in), b + o, x, z + o, v, 4, hidden);
        for (; v < vectors; v++) forward_block(n_in, w + o * PAD(n_in), b + o, x, z + o, v, 1, hidden);
    }
}

/* the adjoints of four inputs, from those of all outputs, where the relu let them through */
INLINE void backward_block(int n_in, int n_out, const double *w, const row *x, const row *g, row *gx, int v, int q)
{
    vec s[4][4] = {};
    int stride = PAD(n_in);
    for (int o = 0; o < n_out; o++)
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < q; j++) s[i][j] += w[o * stride + i] * g[o][v + j];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < q; j++) gx[i][v + j] = where(x[i][v + j] > 0, s[i][j]);
}

static void backward(int n_in, int n_out, const double *w, const row *x, const row *g, row *gx, int vectors)
{
    for (int i = 0; i < n_in; i += 4) {
        int v = 0;
        for (; v + 4 <= vectors; v += 4) backward_block(n_in, n_out, w + i, x + i, g, gx + i, v, 4);
        for (; v < vectors; v++) backward_block(n_in, n_out, w + i, x + i, g, gx + i, v, 1);
    }
}

/* the sums over the lanes of eight vectors */
INLINE vec sums(const vec *s)
{
    vec a[4], b[2];
    for (int k = 0; k < 4; k++)
        a[k] = __builtin_shuffle(s[2 * k], s[2 * k + 1], (mask){0, 1, 2, 3, 8, 9, 10, 11})
             + __builtin_shuffle(s[2 * k], s[2 * k + 1], (mask){4, 5, 6, 7, 12, 13, 14, 15});
    for (int k = 0; k < 2; k++)
        b[k] = __builtin_shuffle(a[2 * k], a[2 * k + 1], (mask){0, 1, 4, 5, 8, 9, 12, 13})
             + __builtin_shuffle(a[2 * k], a[2 * k + 1], (mask){2, 3, 6, 7, 10, 11, 14, 15});
    return __builtin_shuffle(b[0], b[1], (mask){0, 2, 4, 6, 8, 10, 12, 14})
         + __builtin_shuffle(b[0], b[1], (mask){1, 3, 5, 7, 9, 11, 13, 15});
}

/* gw += g x', gb += the sums of g */
static void gradient(int n_in, int n_out, const row *x, const row *g, double *gw, double *gb, int vectors)
{
    for (int o = 0; o < n_out; o += 4)
        for (int i = 0; i < n_in; i += 4) {
            vec s[16] = {};
            for (int v = 0; v < vectors; v++)
                for (int p = 0; p < 4; p++)
                    for (int q = 0; q < 4; q++) s[4 * p + q] += g[o + p][v] * x[i + q][v];
            for (int half = 0; half < 2; half++) {
                vec t = sums(s + 8 * half);
                for (int k = 0; k < 8; k++) gw[(o + 2 * half + k / 4) * PAD(n_in) + i + k % 4] += t[k];
            }
        }
    for (int o = 0; o < n_out; o++) {
        vec s = {};
        for (int v = 0; v < vectors; v++) s += g[o][v];
        for (int k = 0; k < LANES; k++) gb[o] += s[k];
    }
}

INLINE vec exponential(vec x) /* for x <= 0, not far from there: e^x = 2^n e^r */
{
    const double shift = 0x1.8p52;
    x = larger(x, all(-700));
    vec n = x * 0x1.71547652b82fep0 + shift;
    mask scale = ((mask)n - (mask)all(shift) + 1023) << 52;
    n -= shift;
    vec r = x - n * 0x1.62e42fee00000p-1 - n * 0x1.a39ef35793c76p-33, p = all(1.0 / 6227020800);
    const double c[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                        1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
    for (int k = 0; k < 13; k++) p = p * r + c[k];
    return p * (vec)scale;
}

/* the weighted loss of a tile, and the adjoints of the net outputs */
static double loss_of(const row *z, const row *targets, const vec *weight, row *g, int vectors)
{
    vec total = {};
    double logs = 0;
    for (int v = 0; v < vectors; v++) {
#if HINGE
        vec margin = 1 - targets[0][v] * z[0][v];
        total += weight[v] * where(margin > 0, margin);
        g[0][v] = where(margin > 0, -targets[0][v] * weight[v]);
#else
        int classes = sizes[LAYERS];
        vec top = z[0][v], sum = {}, right = {}, e[PAD(WIDEST)];
        for (int c = 1; c < classes; c++) top = larger(top, z[c][v]);
        for (int c = 0; c < classes; c++) {
            sum += e[c] = exponential(z[c][v] - top);
            right += targets[c][v] * z[c][v];
        }
        for (int c = 0; c < classes; c++) g[c][v] = weight[v] * (e[c] / sum - targets[c][v]);
        total += weight[v] * (top - right);
        for (int k = 0; k < LANES; k++) logs += weight[v][k] * log(sum[k]);
#endif
    }
    for (int k = 0; k < LANES; k++) logs += total[k];
    return logs;
}

/* Take steps; x and targets are tiles of padded features, weight is 1/rows, 0 for rows that only fill up a vector.
   Returns the loss before the last step. */
double steps(double *w, double *gw, long count, const row *x, const row *targets, const row *weight, long vectors,
             double rate, double decay, long times)
{
    double loss = 0;
    for (; times > 0; times--) {
        loss = 0;
        for (long k = 0; k < count; k++) gw[k] = 0;
        for (long tile = 0; tile * TILE < vectors; tile++) {
            int here = vectors - tile * TILE < TILE ? vectors - tile * TILE : TILE;
            const row *in[LAYERS + 1] = {x + tile * PAD(sizes[0])};
            long at[LAYERS], end = 0;
            for (int k = 0; k < LAYERS; k++) {
                int n_in = sizes[k], n_out = sizes[k + 1];
                at[k] = end;
                end += PAD(n_out) * (PAD(n_in) + 1);
                forward(n_in, n_out, w + at[k], w + at[k] + PAD(n_out) * PAD(n_in), in[k], outputs[k], here, k < LAYERS - 1);
                in[k + 1] = outputs[k];
            }
            loss += loss_of(in[LAYERS], targets + tile * PAD(sizes[LAYERS]), weight[tile], adjoints[LAYERS - 1], here);
            for (int k = LAYERS - 1; k >= 0; k--) {
                int n_in = sizes[k], n_out = sizes[k + 1];
                gradient(n_in, n_out, in[k], adjoints[k], gw + at[k], gw + at[k] + PAD(n_out) * PAD(n_in), here);
                if (k) backward(n_in, n_out, w + at[k], in[k], adjoints[k], adjoints[k - 1], here);
            }
        }
        for (long k = 0; k < count; k++) w[k] -= rate * (gw[k] + decay * w[k]);
    }
    return loss;
}
