"""What is asked of a new photo."""

from django import forms

from gallery.models import Photo


class PhotoForm(forms.ModelForm):
    class Meta:
        model = Photo
        fields = ("title", "email", "image")
