"""XMP carried from a photo to its colored copy (ISO 16684-1)."""

from __future__ import annotations

MOST = 64_000
"""Bytes for which a JPEG has room."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

OF_THE_FILE = {
    "http://ns.adobe.com/tiff/1.0/": "ImageWidth ImageLength BitsPerSample Compression Orientation "
    "PhotometricInterpretation SamplesPerPixel PlanarConfiguration YCbCrSubSampling YCbCrPositioning "
    "TransferFunction WhitePoint PrimaryChromaticities YCbCrCoefficients ReferenceBlackWhite NativeDigest",
    "http://ns.adobe.com/exif/1.0/": "PixelXDimension PixelYDimension ColorSpace ComponentsConfiguration "
    "CompressedBitsPerPixel NativeDigest",
    "http://ns.adobe.com/photoshop/1.0/": "ColorMode ICCProfile",
    "http://ns.adobe.com/xap/1.0/": "Thumbnails",
    "http://ns.adobe.com/xmp/note/": "HasExtendedXMP",
}
"""Properties, by namespace, that describe the pixel layout of a file, or show the original photo."""

OF_OTHER_PICTURES = (
    "http://ns.adobe.com/hdr-gain-map/",
    "http://ns.apple.com/HDRGainMap/",
    "http://ns.google.com/photos/1.0/",
)
"""Namespaces about gain maps, depth maps and videos after the photo, which its copy does not have."""


def for_copy(content: bytes | None) -> bytes | None:
    """Return the XMP of a photo's file for its upright copy in sRGB, UTF-8; None if there is none.

    What describes the pixel layout, thumbnails, and what is about pictures after the photo are left out. None
    also stands for damaged XMP, and for more than :data:`MOST` bytes.
    """
    if not isinstance(content, bytes) or len(content) > 4 * MOST or b"<!DOCTYPE" in content:
        return None  # XMP defines no entities, which can grow a thousandfold
    from xml.dom import minidom  # imported here: few photos need it

    try:
        document = minidom.parseString(content.strip(b"\0 \r\n\t"))
        descriptions = document.getElementsByTagNameNS(RDF, "Description")
        for description in descriptions:
            for property in [*description.attributes.values(), *description.childNodes]:
                if not _left_out(property.namespaceURI or "", property.localName):
                    continue
                if property.nodeType == property.ATTRIBUTE_NODE:
                    description.removeAttributeNode(property)
                else:
                    description.removeChild(property)
        element = next(node for node in document.childNodes if node.nodeType == node.ELEMENT_NODE)
        text = element.toxml().encode()
    except Exception:  # damaged XMP raises anything
        return None
    packet = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>' + text + b'<?xpacket end="w"?>'
    return packet if descriptions and len(packet) <= MOST else None


def _left_out(kind: str, name: str | None) -> bool:
    return kind.startswith(OF_OTHER_PICTURES) or name in OF_THE_FILE.get(kind, "").split()
