"""SAM's mask decoder for many prompts of one image at a time (arXiv 2304.02643, appendix A).

It computes the authors' function with their weights, but in another order. Their forward pass
expands the image to every prompt; on a CPU, a batch of 16 prompts took twice as long as 16 calls.
Here

- what depends only on the image is computed once per image: its projections in the first layer;
- a prompt's mask enters those projections by its 16 channels, before they are expanded to 256;
- the last attention, and everything after it, is computed only for the requested tokens, and its
  projections of the image are applied to these few tokens instead;
- the image remains a list of pixels with 256 values each, so that upscaling is two matrix products
  and only the final masks are rearranged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_STEP = 2  # factor of each of the two upscalings, per side
_FEW = (
    64  # number of keys up to which PyTorch's attention is slower on a CPU, by up to a factor of 2
)
_TAPS = 3  # side of HQ-SAM's last convolutions


@dataclass(frozen=True, eq=False)
class ImageEmbedding:
    """An encoded image, from which masks are decoded.

    Attributes:
        pixels: ``(P, 256)``, P = 64 x 64, the encoder's output.
        fine: ``(Q, 32)``, Q = 256 x 256, HQ-SAM's features; None for SAM.
    """

    pixels: Tensor
    fine: Tensor | None = None


class MaskDecoder:
    """The mask decoder of a SAM, including the mask input of its prompt encoder.

    Args:
        sam: network of the authors' package, on its device and in the type of the computation.
    """

    def __init__(self, sam: Any) -> None:
        decoder, encoder = sam.mask_decoder, sam.prompt_encoder
        self._decoder = decoder
        self.side = int(encoder.image_embedding_size[0])
        self._first, self._second = decoder.transformer.layers
        self._last = decoder.transformer.final_attn_token_to_image
        self._norm = decoder.transformer.norm_final_attn
        self.dtype: torch.dtype = decoder.iou_token.weight.dtype
        high_quality = hasattr(decoder, "hf_token")
        self._tokens = torch.cat(
            [
                embedding.weight
                for embedding in (
                    decoder.iou_token,
                    decoder.mask_tokens,
                    *([decoder.hf_token] if high_quality else []),
                )
            ]
        )
        places = encoder.get_dense_pe().flatten(2)[0].T
        self._places = places.to(self.dtype).contiguous()
        # First layer: keys, values, queries of image + mask + positions, which are all linear.
        weight, bias = _projections(self._first)
        self._image_weight = weight.T.contiguous()
        self._image_bias = bias + _placed(self._places, weight)
        grown = encoder.mask_downscaling[-1]
        self._mask_weight = grown.weight.flatten(1).T.to(self.dtype).contiguous()  # (16, 256)
        self._mask_bias = grown.bias.to(self.dtype)
        self._no_mask = encoder.no_mask_embed.weight[0].to(self.dtype)
        self._mask_projection = self._mask_weight @ self._image_weight
        # Second layer: the same for the output of the first.
        weight, bias = _projections(self._second)
        self._second_weight = weight.T.contiguous()
        self._second_bias = bias + _placed(self._places, weight)
        self._upscale = _Upscaling(decoder.output_upscaling, self.side)
        self._fine = _FineMasks(decoder, self.side) if high_quality else None
        self._projected: tuple[ImageEmbedding, Tensor] | None = None

    def embed(self, features: Tensor, early: Tensor | None = None) -> ImageEmbedding:
        """Prepare an encoded image for decoding.

        Args:
            features: ``(1, 256, 64, 64)``, the image encoder's output.
            early: ``(1, 64, 64, C)``, for HQ-SAM the encoder's first intermediate output.
        """
        pixels = features[0].flatten(1).T.to(self.dtype).contiguous()
        fine = None
        if self._fine is not None:
            assert early is not None, "HQ-SAM's encoder gives intermediate outputs"
            fine = self._fine.features(features.to(self.dtype), early.to(self.dtype))
        return ImageEmbedding(pixels, fine)

    def forget(self) -> None:
        """Drop everything kept for the last image."""
        self._projected = None

    def _projections(self, image: ImageEmbedding) -> Tensor:
        """Keys, values and queries of the image in the first layer, ``(P, 3 x 128)``.

        They are as large as the image embedding, and kept only for the last image.
        """
        if self._projected is None or self._projected[0] is not image:
            made = torch.addmm(self._image_bias, image.pixels, self._image_weight)
            self._projected = image, made
        return self._projected[1]

    def decode(
        self, image: ImageEmbedding, prompts: Tensor, masks: Tensor | None, candidates: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode masks for prompts of the same length.

        Args:
            image: the image.
            prompts: ``(B, N, 256)``, sparse embeddings of the prompt encoder.
            masks: ``(B, 64 x 64, 16)``, the prompt encoder's embeddings of mask inputs before its
                last convolution; None without mask inputs.
            candidates: whether to decode the three masks for an ambiguous prompt, or the single
                one.

        Returns:
            Logits, ``(B, 3 or 1, 256, 256)``, and predicted IoUs, ``(B, 3 or 1)``.
        """
        count = len(prompts)
        starts = self._tokens.expand(count, -1, -1)
        places = torch.cat(
            [starts, prompts.to(self.dtype)], dim=1
        )  # positional encodings of the tokens
        tokens, pixels = self._first_layer(image, places, masks)
        tokens, pixels = self._second_layer(tokens, pixels, places)
        wanted = [1, 2, 3] if candidates else [0]
        rows = [0, *(1 + each for each in wanted)]
        if self._fine is not None:
            rows.append(self._tokens.shape[0] - 1)
        found = self._attend_last(tokens[:, rows], places[:, rows], pixels)
        decoder = self._decoder
        ious = decoder.iou_prediction_head(found[:, 0])[:, wanted]
        hyper = torch.stack(
            [
                decoder.output_hypernetworks_mlps[each](found[:, 1 + row])
                for row, each in enumerate(wanted)
            ],
            dim=2,
        )
        upscaled = self._upscale(pixels)
        logits = self._upscale.arrange(upscaled @ hyper)
        if self._fine is not None and image.fine is not None:
            hyper = decoder.hf_mlp(found[:, -1])
            logits = logits + self._fine(self._upscale.arrange(upscaled), hyper, image.fine)
        return logits.float(), ious.float()

    def _first_layer(
        self, image: ImageEmbedding, places: Tensor, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Tokens ``(B, N, 256)`` and pixels ``(B or 1, P, 256)`` after the first layer."""
        layer, projections = self._first, self._projections(image)
        tokens = layer.norm1(layer.self_attn(q=places, k=places, v=places))
        if masks is None:
            constant = self._no_mask
            projections = (projections + constant @ self._image_weight).unsqueeze(0)
            pixels = (image.pixels + constant).unsqueeze(0)
        else:
            constant = self._mask_bias
            masks = masks.to(self.dtype)
            projections = torch.baddbmm(
                (projections + constant @ self._image_weight).unsqueeze(0),
                masks,
                self._mask_projection.expand(len(masks), -1, -1),
            )
            pixels = torch.baddbmm(
                (image.pixels + constant).unsqueeze(0),
                masks,
                self._mask_weight.expand(len(masks), -1, -1),
            )
        return self._attend(layer, tokens, places, pixels, projections)

    def _second_layer(
        self, tokens: Tensor, pixels: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens ``(B, N, 256)`` and pixels ``(B, P, 256)`` after the second layer."""
        layer = self._second
        placed = tokens + places
        tokens = layer.norm1(tokens + layer.self_attn(q=placed, k=placed, v=tokens))
        projections = torch.baddbmm(
            self._second_bias.unsqueeze(0),
            pixels,
            self._second_weight.expand(len(pixels), -1, -1),
        )
        return self._attend(layer, tokens, places, pixels, projections)

    def _attend(
        self, layer: Any, tokens: Tensor, places: Tensor, pixels: Tensor, projections: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attention of tokens to the image, their MLP, and attention of the image to tokens."""
        keys, values, queries = projections.chunk(3, dim=-1)
        heads = layer.cross_attn_token_to_image.num_heads
        to_image, to_tokens = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        count = len(tokens)
        keys, values, queries = (_heads(each, count, heads) for each in (keys, values, queries))
        asked = _heads(to_image.q_proj(tokens + places), count, heads)
        seen = F.scaled_dot_product_attention(asked, keys, values)
        tokens = layer.norm2(tokens + to_image.out_proj(_joined(seen)))
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        keys = _heads(to_tokens.k_proj(tokens + places), count, heads)
        values = _heads(to_tokens.v_proj(tokens), count, heads)
        if keys.shape[2] <= _FEW:
            shares = queries @ (keys * keys.shape[-1] ** -0.5).transpose(2, 3)
            seen = shares.softmax(dim=-1) @ values
        else:
            seen = F.scaled_dot_product_attention(queries, keys, values)
        return tokens, layer.norm4(to_tokens.out_proj(_joined(seen)).add_(pixels))

    def _attend_last(self, tokens: Tensor, places: Tensor, pixels: Tensor) -> Tensor:
        """Final attention of some tokens to the image, its projections applied to the tokens."""
        attention = self._last
        heads, inner = attention.num_heads, attention.internal_dim
        size = inner // heads
        count, rows, _ = tokens.shape
        queries = attention.q_proj(tokens + places).view(count, rows, heads, size)
        keys = attention.k_proj.weight.view(heads, size, -1)
        # The bias of the keys adds the same to all pixels, which cancels in the softmax.
        asked = torch.einsum("brhs,hsc->brhc", queries * size**-0.5, keys).flatten(1, 2)
        logits = torch.baddbmm(asked @ self._places.T, asked, pixels.transpose(1, 2))
        seen = (logits.softmax(dim=-1) @ pixels).view(count, rows, heads, -1)
        values = attention.v_proj.weight.view(heads, size, -1)
        found = torch.einsum("brhc,hsc->brhs", seen, values).flatten(2) + attention.v_proj.bias
        return self._norm(tokens + attention.out_proj(found))


class _Upscaling:
    """Upscales 64 x 64 pixels of 256 values to 256 x 256 of 32, in two steps of factor 2."""

    def __init__(self, layers: Sequence[Any], side: int) -> None:
        first, self._norm, _, second, _ = layers
        self._side = side
        self._first = _split(first)
        self._second = _split(second)

    def __call__(self, pixels: Tensor) -> Tensor:
        """``(B, 64 x 64, 256)`` to ``(B, 256 x 256, 32)``, ordered pixel by divided pixel."""
        weight, bias = self._first
        half = F.linear(pixels, weight, bias).unflatten(-1, (_STEP**2, -1)).flatten(1, 2)
        norm = self._norm
        half = F.gelu(F.layer_norm(half, half.shape[-1:], norm.weight, norm.bias, norm.eps))
        weight, bias = self._second
        full = F.gelu(F.linear(half, weight, bias))
        return full.unflatten(-1, (_STEP**2, -1)).flatten(1, 2)

    def arrange(self, pixels: Tensor) -> Tensor:
        """Rearrange ``(B, 256 x 256, C)`` from that order to ``(B, C, 256, 256)``."""
        count, _, channels = pixels.shape
        side = self._side
        split = pixels.view(count, side, side, _STEP, _STEP, _STEP, _STEP, channels)
        full = side * _STEP**2
        return split.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(count, channels, full, full)


class _FineMasks:
    """HQ-SAM's contribution to a mask (arXiv 2306.01567)."""

    def __init__(self, decoder: Any, side: int) -> None:
        self._decoder = decoder
        self._first, self._norm, _, last = decoder.embedding_maskfeature
        self._full = side * _STEP**2
        channels = last.weight.shape[1]
        self._taps = last.weight.permute(0, 2, 3, 1).reshape(len(last.weight), -1, channels)
        self._bias = last.bias

    def features(self, features: Tensor, early: Tensor) -> Tensor:
        """Features that depend only on the image, ``(256 x 256, 32)``.

        Args:
            features: ``(1, 256, 64, 64)``.
            early: ``(1, 64, 64, C)``.
        """
        decoder = self._decoder
        fine = decoder.embedding_encoder(features)
        fine = fine + decoder.compress_vit_feat(early.permute(0, 3, 1, 2))
        return fine[0].flatten(1).T.contiguous()

    def __call__(self, upscaled: Tensor, hyper: Tensor, fine: Tensor) -> Tensor:
        """``(B, 32, 256, 256)`` and ``(B, 32)`` to logits ``(B, 1, 256, 256)``.

        The 32 outputs of the last convolution are summed with the weights ``hyper``. Summing its
        kernels first leaves a convolution with one output.

        Args:
            upscaled: ``(B, 32, 256, 256)``.
            hyper: ``(B, 32)``.
            fine: ``(256 x 256, 32)``, from :meth:`features`.
        """
        first, norm = self._first, self._norm
        found = F.conv2d(
            upscaled.contiguous(memory_format=torch.channels_last),
            first.weight,
            first.bias,
            padding=1,
        ).permute(0, 2, 3, 1)
        found = F.gelu(F.layer_norm(found, found.shape[-1:], norm.weight, norm.bias, norm.eps))
        taps = torch.einsum("bo,otc->bct", hyper, self._taps)
        full = self._full
        shares = (found.flatten(1, 2) @ taps).view(len(hyper), full, full, _TAPS, _TAPS)
        shares = F.pad(shares, (0, 0, 0, 0, 1, 1, 1, 1))
        logits = (fine @ hyper.T).T.reshape(len(hyper), full, full)
        logits = logits + (hyper @ self._bias)[:, None, None]
        for y in range(_TAPS):
            for x in range(_TAPS):
                logits = logits + shares[:, y : y + full, x : x + full, y, x]
        return logits.unsqueeze(1)


def _projections(layer: Any) -> tuple[Tensor, Tensor]:
    """Weights ``(3 x 128, 256)`` and biases of the image's keys, values and queries."""
    parts = (
        layer.cross_attn_token_to_image.k_proj,
        layer.cross_attn_token_to_image.v_proj,
        layer.cross_attn_image_to_token.q_proj,
    )
    return torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts])


def _placed(places: Tensor, weight: Tensor) -> Tensor:
    """What positional encodings ``(P, 256)`` add to projections; they do not affect values."""
    keys, values, queries = weight.chunk(3)
    nothing = places.new_zeros(len(places), len(values))
    return torch.cat([places @ keys.T, nothing, places @ queries.T], dim=1)


def _heads(values: Tensor, count: int, heads: int) -> Tensor:
    """Split heads: ``(count or 1, N, C)`` to ``(count, heads, N, C / heads)``."""
    return values.expand(count, -1, -1).unflatten(-1, (heads, -1)).transpose(1, 2)


def _joined(values: Tensor) -> Tensor:
    """Join heads: ``(B, heads, N, C / heads)`` to ``(B, N, C)``."""
    return values.transpose(1, 2).flatten(2)


def _split(layer: Any) -> tuple[Tensor, Tensor]:
    """A transposed 2 x 2 convolution of stride 2 as a matrix and a bias, subdivisions first."""
    channels = layer.weight.shape[0]
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, channels).contiguous()
    return weight, layer.bias.repeat(_STEP**2)
